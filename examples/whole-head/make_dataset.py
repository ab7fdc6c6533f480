"""Make a dataset larger than the memory it is reconstructed in: a whole head, measured by 8 or by 32 coils.

The truth is a T1-weighted head of 188 × 256 × 190 voxels (`mri_t1_3d_chris` of the data folder named by
PREIMAGE_DATA). Everything after it is simulated: coils in two rings round the head, variable-density sampling of the
two phase-encode dims at R = 4, complex noise. With 32 coils the k-space has 2.3 GB, and so have the sensitivities.
k-space is computed and stored coil by coil.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import preimage
from preimage.data import lazy, located, tensor

NOISE = 0.01
"""Standard deviation of the noise of a sample, where the head's brightest voxel is 1."""
SLAB = 8
"""Slices whose sensitivities are computed at a time."""


def make_dataset(path: Path, n_coils: int) -> None:
    """Simulate the measurement and store it as a chunked Zarr dataset."""
    head = read_head()
    sensitivities = simulate_sensitivities(head, n_coils)
    mask = sampling_mask(head)
    image = torch.from_numpy(head["truth"].values)
    sampled = torch.from_numpy(mask.values)
    generator = torch.Generator().manual_seed(0)

    def kspace_of(index: tuple[int | slice, ...]) -> np.ndarray:
        coil, *rest = index  # one coil at a time
        weighted = torch.fft.ifftshift(torch.from_numpy(sensitivities[coil]) * image, dim=(-3, -2, -1))
        kspace = torch.fft.fftshift(torch.fft.fftn(weighted, dim=(-3, -2, -1), norm="ortho"), dim=(-3, -2, -1))
        noise = torch.randn(kspace.shape, dtype=kspace.dtype, generator=generator)
        return ((kspace + NOISE * noise) * sampled).numpy()[:, *rest]

    shape = (n_coils, *image.shape)
    dataset = head.assign(
        measurement=lazy(("coil", "kx", "ky", "kz"), shape, "complex64", kspace_of),
        sensitivities=(("coil", "x", "y", "z"), sensitivities),
        mask=mask,
    )
    preimage.write_dataset(dataset, path, chunks={"coil": 1, "kx": shape[1], "kz": 19, "x": 4}, overwrite=True)


def read_head() -> xr.Dataset:
    """The head, its brightest voxel 1."""
    path = Path(os.environ["PREIMAGE_DATA"]) / "mri_t1_3d_chris" / "chris_t1.nii.gz"
    head = preimage.make("loader.nifti", path=path).describe().load()
    head["truth"] = (head["truth"] / head["truth"].max()).astype(np.float32)
    return head


def simulate_sensitivities(head: xr.Dataset, n_coils: int) -> np.ndarray:
    """The fields of the coils, (coil, x, y, z), computed slab by slab."""
    coils = preimage.make("preparation.simulate-coils", head, n_coils=n_coils)
    fitted = coils.fit(head.isel(coils.reads(head)))
    found = np.empty((n_coils, *head["truth"].shape), np.complex64)
    for start in range(0, head.sizes["x"], SLAB):
        here = slice(start, start + SLAB)
        slab = coils.apply(located(head, {"x": here}), fitted.isel({"x": here} if "x" in fitted.dims else {}))
        found[:, here] = tensor(slab, "sensitivities", ("coil", "x", "y", "z")).numpy()
    return found


def sampling_mask(head: xr.Dataset) -> xr.Variable:
    """Variable density over ky and kz at R = 4, with a 24 × 24 centre."""
    settings = {"pattern": "variable-density", "acceleration": 4, "centre": {"ky": 24, "kz": 24}}
    masking = preimage.make("preparation.sampling-mask", head, dims=["ky", "kz"], **settings)
    return masking.apply(head, masking.fit(head.isel(masking.reads(head))))["mask"].variable


if __name__ == "__main__":
    coils = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    make_dataset(Path(f"out/whole-head/{coils}-coils.zarr"), coils)
