"""Coil sensitivities from the fully sampled centre of k-space: low-resolution images, or ESPIRiT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

import numpy as np
import torch
import xarray as xr
from pydantic import Field, PositiveInt, model_validator

import preimage
from preimage import Memory, hookimpl, split
from preimage.data import require, variable
from preimage.declarations import Axis
from preimage.errors import DataError
from preimage_mri.dims import COIL, IMAGE_DIM, KSPACE_DIM, comma, in_image_space, kspace_dims, without_coil
from preimage_mri.encoding.headers import fully_sampled
from preimage_mri.examples import ball
from preimage_mri.fourier import centred_fft
from preimage_mri.sampling.centre import box_mask
from preimage_mri.sensitivities.calibration import calibration_lengths
from preimage_mri.sensitivities.espirit import WORKSPACE
from preimage_mri.sensitivities.estimates import LARGEST, Espirit, LowResolution
from preimage_mri.simulate_coils import SimulateCoils

WHO = "coil-sensitivities"

requires = {"measurement": (COIL,)}
provides = {"sensitivities": (COIL,)}


class Settings(preimage.Settings):
    """How they are estimated."""

    method: Literal["low-resolution", "espirit"] = "low-resolution"
    """low-resolution: images of the centre of k-space, divided by their root-sum-of-squares. espirit: eigenvectors,
    which know where there is no object and keep the object's phase out."""
    calibration: dict[str, PositiveInt] = Field(default_factory=dict)
    """Lengths of the centre along dims of k-space, such as { kz = 16, ky = 8 }; else the largest box that the mask
    samples fully, for espirit at most 32."""
    window: Literal["hann", "none"] = "hann"
    """low-resolution: the weight of the centre's samples, which keeps ringing small."""
    kernel: PositiveInt | None = None
    """espirit: length of a patch of k-space along each dim; else at most 6, so that the centre has at least as many
    patches as a patch has samples."""
    threshold: float = Field(default=0.02, ge=0, lt=1)
    """espirit: singular values of the patches below this share of the largest are taken for noise, and so is a slice
    that has less than its square of the strongest slice's energy."""
    crop: float = Field(default=0.95, ge=0, le=1)
    """espirit: where the eigenvalue is smaller than this there is no object: sensitivities are 0."""

    @model_validator(mode="after")
    def _is_in_kspace(self) -> Self:
        strange = [dim for dim in self.calibration if dim not in IMAGE_DIM]
        if strange:
            raise ValueError(f"calibration: {comma(strange)} is no dim of k-space: use some of {comma(IMAGE_DIM)}")
        return self


@hookimpl
def preimage_preparation(settings: Settings, dataset: xr.Dataset) -> LowResolution | Espirit:
    """Make the preparation.

    Raises
    ------
    DataError : the measurement has no coils or no k-space, is real, or has no fully sampled centre.
    """
    found = require(dataset, "measurement", who=WHO)
    if COIL not in found.dims or found.dtype.kind != "c" or not kspace_dims(found.dims):
        raise DataError(
            f"{WHO} needs a complex 'measurement' with dims such as coil, kz, ky: "
            f"it is {found.dtype} with {comma(found.dims)}"
        )
    lengths = calibration_lengths(dataset, settings.calibration, WHO)
    if settings.method == "low-resolution":
        return LowResolution(lengths, settings.window == "hann")
    limited = {dim: n if dim in settings.calibration else min(n, LARGEST) for dim, n in lengths.items()}
    sizes = zip(in_image_space(found.dims), found.shape, strict=True)
    readouts = [(n, dim) for dim, n in sizes if dim in KSPACE_DIM and KSPACE_DIM[dim] not in lengths]
    longest = max(readouts)[1] if readouts and len(lengths) == 1 else None
    return Espirit(limited, longest, settings.kernel, settings.threshold, settings.crop)


@hookimpl
def preimage_rewrite(settings: Settings, dataset: xr.Dataset) -> list[dict[str, Any]]:
    """The inverse FFT along every fully sampled readout whose centre is not asked for."""
    return [{"use": "readout-ifft", "dim": dim} for dim in fully_sampled(dataset) if dim not in settings.calibration]


@hookimpl
def preimage_axes(settings: Settings, dataset: xr.Dataset) -> Mapping[str, Axis]:
    """What is fitted is small, and every slice is expanded on its own."""
    return {dim: split for dim in without_coil(dataset["measurement"].dims) if dim not in IMAGE_DIM}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The data, the sensitivities, and what they are made of."""
    return Memory(per_input=3.5, workspace=5 * WORKSPACE if settings.method == "espirit" else 0)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, xr.Dataset]]:
    """Both methods; lines and planes; a readout in k-space, in image space, and none; times; odd lengths."""
    low, eigen = Settings(), Settings(method="espirit", kernel=3, crop=0)
    for settings in (low, eigen):
        yield settings, _example({"coil": 3, "kz": 12, "ky": 9}, {"kz": 7, "ky": 6})
        yield settings, _example({"coil": 2, "x": 3, "kz": 9, "ky": 8}, {"kz": 6, "ky": 5})
        yield settings, _example({"coil": 2, "kx": 8, "ky": 9}, {"ky": 6})
        yield settings, _example({"ky": 11, "coil": 2, "x": 4, "time": 2}, {"ky": 7})
    yield (
        low.model_copy(update={"calibration": {"ky": 4}, "window": "none"}),
        _example({"coil": 2, "kz": 5, "ky": 8}, {}),
    )
    yield low, _example({"coil": 2, "kz": 1, "ky": 8}, {"ky": 5})


def _example(sizes: Mapping[str, int], centre: Mapping[str, int]) -> xr.Dataset:
    """A ball seen by coils; every second sample of k-space and its centre, or no mask where there is none."""
    image_sizes = {after: sizes[dim] for dim, after in zip(sizes, in_image_space(sizes), strict=True) if dim != COIL}
    truth = xr.Dataset({"truth": (list(image_sizes), ball(image_sizes))})
    coils = SimulateCoils(sizes[COIL], 1.6, truth)
    images = (truth["truth"] * coils.apply(truth, coils.fit(truth))["sensitivities"]).transpose(*in_image_space(sizes))
    axes = tuple(i for i, dim in enumerate(sizes) if dim in IMAGE_DIM)
    data = xr.Dataset({"measurement": variable(centred_fft(torch.from_numpy(images.values), axes), tuple(sizes))})
    if centre:
        lengths = {dim: sizes[dim] for dim in centre}
        mask = sum(np.ix_(*map(np.arange, lengths.values()))) % 2 == 0
        data["mask"] = (list(centre), mask | box_mask(lengths, centre), {"small": True})
    return data
