"""Real measurements: what a reconstruction reaches on them."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
import xarray as xr

from preimage.testing.agreement import largest_error
from preimage_mri import cartesian_mri, coil_sensitivities, nifti, npy, sampling_mask

DATA = Path(os.environ.get("PREIMAGE_DATA", ""))
real = pytest.mark.skipif("PREIMAGE_DATA" not in os.environ, reason="PREIMAGE_DATA names no folder of real data")


def load(module, **settings) -> xr.Dataset:
    return module.preimage_loader(module.Settings(**settings)).describe()


def prepare(module, dataset: xr.Dataset, **settings) -> xr.Dataset:
    preparation = module.preimage_preparation(module.Settings(**settings), dataset)
    return preparation.apply(dataset, preparation.fit(dataset.isel(preparation.reads(dataset))))


@torch.no_grad()
def cg_sense(dataset: xr.Dataset, damping: float, n_iterations: int) -> np.ndarray:
    """Minimise ½‖Ax − y‖² + ½ damping ‖x‖² by conjugate gradients, Hestenes and Stiefel 1952."""
    operator = cartesian_mri.preimage_operator(cartesian_mri.Settings(), dataset)
    residual = operator.adjoint(torch.from_numpy(dataset["measurement"].values))
    x, direction = torch.zeros_like(residual), residual.clone()
    energy = operator.domain.squared_norm(residual)
    for _ in range(n_iterations):
        curved = operator.normal(direction) + damping * direction
        length = energy / operator.domain.inner(direction, curved).real
        x, residual = x + length * direction, residual - length * curved
        energy, before = operator.domain.squared_norm(residual), energy
        direction = residual + energy / before * direction
    return x.numpy()


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    error = np.abs(image).astype(np.float64) - truth
    return 20 * np.log10(truth.max()) - 10 * np.log10(np.mean(error**2))


@real
@pytest.mark.parametrize(("acceleration", "least"), [(2, 37.4), (4, 29.8)])
def test_brain_of_seven_coils_from_every_second_and_fourth_line(acceleration, least):
    data = load(npy, path=DATA / "mri_brain_7ch/brain_slice.npz", dims=("x", "y", "coil"), domain="coil-images").load()
    data = prepare(sampling_mask, data, pattern="regular", dims=("ky",), acceleration=acceleration, centre={"ky": 24})
    reached = psnr(cg_sense(prepare(coil_sensitivities, data), 1e-3, 30), data["truth"].values)
    assert reached > least
    zero_filled = psnr(cg_sense(prepare(coil_sensitivities, data), 1e-3, 1), data["truth"].values)
    assert zero_filled < reached - 2  # the check tells a reconstruction from none


@real
def test_espirit_explains_the_brain_of_seven_coils():
    data = load(npy, path=DATA / "mri_brain_7ch/brain_slice.npz", dims=("x", "y", "coil"), domain="coil-images")
    images = np.moveaxis(np.load(DATA / "mri_brain_7ch/brain_slice.npz")["arr_0"], -1, 0)
    maps = prepare(coil_sensitivities, data, method="espirit", calibration={"kx": 24, "ky": 24})["sensitivities"].values
    inside = data["truth"].values > 0.1 * data["truth"].values.max()
    explained = maps * (maps.conj() * images).sum(0)
    missing = np.linalg.norm((images - explained)[:, inside]) / np.linalg.norm(images[:, inside])
    assert missing < 0.1  # noise alone, in the six of seven directions that maps leave out, is 6.6 %
    shuffled = np.roll(maps, 1, 0)
    wrong = shuffled * (shuffled.conj() * images).sum(0)
    assert np.linalg.norm((images - wrong)[:, inside]) / np.linalg.norm(images[:, inside]) > 0.5


@real
def test_brain_of_eight_coils_predicts_samples_that_were_held_out():
    data = load(npy, path=DATA / "mri_brain_8ch_poisson/cartesian_ksp.npy", dims=("coil", "kz", "ky")).load()
    data = prepare(sampling_mask, data, pattern="from-data", hold_out=0.05)
    assert (data["mask"] | data["held_out"]).values.mean() == pytest.approx(0.124, abs=5e-4)
    data = prepare(coil_sensitivities, data, method="espirit")
    held = cartesian_mri.preimage_operator(cartesian_mri.Settings(), data.assign(mask=data["held_out"]))
    y = data["measurement"].values * data["held_out"].values

    def error(image: np.ndarray) -> float:
        """Share of the energy of held-out samples that is not predicted."""
        return float(np.linalg.norm(held(torch.from_numpy(image)).numpy() - y) ** 2 / np.linalg.norm(y) ** 2)

    solved = cg_sense(data, 1e-2, 20)
    assert error(solved) < 0.1
    assert error(0 * solved) == pytest.approx(1)


@real
def test_a_whole_head_is_sliced_on_disk():
    data = load(nifti, path=DATA / "mri_t1_3d_chris/chris_t1.nii.gz", order=("z", "y", "x"))
    assert data["truth"].shape == (190, 256, 188)
    assert data.attrs["voxel_size"]["x"] == pytest.approx(0.88, abs=0.01)
    assert 0 < float(data["truth"].isel(z=95).max()) <= 255


def test_the_brain_that_nibabel_ships_is_a_truth(agreement):
    path = Path(nibabel.__file__).parent / "tests/data/example4d.nii.gz"
    data = load(nifti, path=path, volume=0, order=("x", "z", "y"))
    assert data["truth"].sizes == {"x": 128, "z": 24, "y": 96}
    assert data.attrs["voxel_size"] == {"x": 2.0, "z": pytest.approx(2.2, abs=0.01), "y": 2.0}
    expected = np.asarray(nibabel.load(path).dataobj[40, ..., 0], np.float32).T
    error = largest_error(data["truth"].isel(x=40), expected)
    agreement("loader.nifti", "nibabel's own array", error, 0, "the same integers, scaled alike")
