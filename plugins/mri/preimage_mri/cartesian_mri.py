"""Cartesian MRI, one coil or many, in 2D or 3D: y = M F (S x)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import xarray as xr

import preimage
from preimage import Memory, hookimpl, split, whole
from preimage.declarations import Axis
from preimage.space import Space
from preimage_mri.dims import COIL, in_image_space
from preimage_mri.encoding.cartesian_sense import CartesianSense
from preimage_mri.encoding.headers import aligned, fully_sampled, mask_of, spaces_of
from preimage_mri.encoding.masked_fourier import MaskedFourier
from preimage_mri.examples import kspace_dataset

WORKSPACE = 40 * 2**20
"""Bytes of temporaries: slabs, and what the FFT library keeps for itself."""


uses = ("mask", "sensitivities")


class Settings(preimage.Settings):
    """None: the dataset says everything.

    Dims kx, ky, kz of the measurement are in k-space and are x, y, z in the image; all others are shared.
    With `sensitivities` the unknown is one image; without, it is an image, or an image for each coil.
    `mask` has some of the measurement's dims; without, all of k-space was sampled. Position and frequency 0
    are at index n // 2.
    """


@hookimpl
def preimage_operator(settings: Settings, dataset: xr.Dataset) -> CartesianSense | MaskedFourier:
    """Make the operator of a block."""
    _, codomain = spaces_of(dataset)
    mask = mask_of(dataset, codomain)
    if "sensitivities" not in dataset.variables:
        return MaskedFourier(codomain, mask)
    sensitivities = aligned(dataset, "sensitivities", in_image_space(codomain.dims))
    return CartesianSense(sensitivities.to(codomain.dtype), mask, codomain)


@hookimpl
def preimage_spaces(settings: Settings, dataset: xr.Dataset) -> tuple[Space, Space]:
    """The image, and the data."""
    return spaces_of(dataset)


@hookimpl
def preimage_axes(settings: Settings, dataset: xr.Dataset) -> Mapping[str, Axis]:
    """Dims that are in image space in the data too are independent, and so are coils without sensitivities."""
    domain, codomain = spaces_of(dataset)
    return {dim: split if dim in domain.dims and dim in codomain.dims else whole for dim in domain.dims}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """Data, data on the run's scale, sensitivities, predicted data and residual; images; a coil that is transformed.

    Measured with 1, 2 and 8 coils. Where no dim is shared, the transform of a whole coil is the smallest piece.
    """
    domain, codomain = spaces_of(dataset)
    coil = 1 / codomain.sizes.get(COIL, 1)
    shared = any(dim in codomain.dims for dim in domain.dims if dim != COIL)
    if "sensitivities" in dataset.variables:
        per_input = 5 + 3 * coil + (0 if shared else 8 * coil)
    else:
        per_input = 4.5 + (0 if shared else 4 * coil)
    return Memory(workspace=WORKSPACE, per_input=per_input)


@hookimpl
def preimage_rewrite(settings: Settings, dataset: xr.Dataset) -> list[dict[str, Any]]:
    """The inverse FFT along every fully sampled readout: the data are independent along it then."""
    return [{"use": "readout-ifft", "dim": dim} for dim in fully_sampled(dataset)]


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, xr.Dataset]]:
    """Even, odd and size-one lengths; the readout in k-space, in image space and last; coils with and without maps."""
    settings = Settings()
    yield settings, kspace_dataset({"coil": 3, "kz": 5, "ky": 4}, ["kz", "ky"], sensitivities=True)
    yield settings, kspace_dataset({"coil": 2, "x": 3, "kz": 4, "ky": 5}, ["kz", "ky"], sensitivities=True)
    yield settings, kspace_dataset({"kz": 4, "ky": 1, "coil": 2, "x": 3}, ["ky", "kz"], sensitivities=True)
    yield settings, kspace_dataset({"coil": 2, "kx": 3, "ky": 4}, ["ky"], sensitivities=True)
    yield settings, kspace_dataset({"coil": 2, "time": 2, "ky": 5}, ["time", "ky"], sensitivities=True)
    yield settings, kspace_dataset({"coil": 2, "kz": 3, "ky": 4}, sensitivities=True)
    yield settings, kspace_dataset({"coil": 2, "x": 2, "kz": 3, "ky": 4}, ["kz", "ky"])
    yield settings, kspace_dataset({"kz": 5, "ky": 6}, ["kz", "ky"])
    yield settings, kspace_dataset({"kx": 3, "ky": 4, "kz": 2}, ["ky"])
