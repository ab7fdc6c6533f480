"""Flat-field correction: from counts to line integrals, −log((counts − dark) / (white − dark))."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import preimage
import torch
import xarray as xr
from preimage import Memory, hookimpl, split
from preimage.data import Preparation, header, require, tensor, variable
from preimage.declarations import Axis
from preimage.errors import DataError, RunError
from pydantic import Field
from torch import Tensor

from lab_tomography.geometry import ANGLE, DETECTOR, slice_dims
from lab_tomography.phantom import scan

WHO = "flat-field"
FRAME = {"white": "white_frame", "dark": "dark_frame"}

requires = {"measurement": (ANGLE, DETECTOR), "white": ("white_frame", DETECTOR), "dark": ("dark_frame", DETECTOR)}
provides = {"measurement": (ANGLE, DETECTOR)}


class Settings(preimage.Settings):
    """What is done with values that have no logarithm."""

    smallest: float = Field(default=1e-4, gt=0, lt=1)
    """Transmission below this share counts as this share: nothing came through, or less than the dark field."""


class FlatField(Preparation):
    """The logarithm of the transmission, from the means of all frames without object and without beam.

    A pixel of the detector that the beam does not brighten, and a value that is not finite, are replaced by linear
    interpolation between their neighbours in the same row of the same projection: left as they are they would
    become rings and streaks.

    Parameters
    ----------
    smallest : transmission at least, a share of 1.
    """

    def __init__(self, smallest: float, dataset: xr.Dataset) -> None:
        self.smallest = smallest
        self.slices = slice_dims(dataset, WHO)
        for name, frame in FRAME.items():
            require(dataset, name, (frame, *self.slices, DETECTOR), WHO)
        found = dataset["measurement"]
        self.dims = tuple(map(str, found.dims))
        self.dtype = np.result_type(found.dtype, np.float32)
        if self.dtype.kind != "f":
            raise DataError(f"{WHO} needs counts: 'measurement' is {found.dtype}")

    def describe(self, dataset: xr.Dataset) -> xr.Dataset:
        """Line integrals in place of counts; the fields are not needed any more."""
        corrected = header(self.dims, dataset["measurement"].shape, self.dtype, units="1")
        return dataset.drop_vars([*FRAME]).assign(measurement=corrected)

    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """The line integrals of a block of slices.

        Raises
        ------
        RunError : a row of a projection has no pixel that can be used.
        """
        order = (*self.slices, ANGLE, DETECTOR)
        dark = self._field(dataset, "dark")
        beam = self._field(dataset, "white") - dark
        counts = tensor(dataset, "measurement", order).to(beam.dtype) - dark.unsqueeze(-2)
        good = torch.isfinite(counts) & (beam > 0).unsqueeze(-2)
        if empty := int((~good.any(-1)).sum()):
            raise RunError(f"{WHO}: {empty} rows of projections have no usable pixel: leave out these slices or angles")
        transmission = torch.where(good, counts / torch.where(beam > 0, beam, 1).unsqueeze(-2), 1)
        values = interpolated(-transmission.clamp_min(self.smallest).log(), good)
        after = variable(values, order, units="1").transpose(*self.dims)
        return dataset.drop_vars([*FRAME]).assign(measurement=after)

    def _field(self, dataset: xr.Dataset, name: str) -> Tensor:
        """The mean of all frames, (*slices, detector)."""
        frames = tensor(dataset, name, (FRAME[name], *self.slices, DETECTOR))
        dtype = torch.from_numpy(np.zeros((), self.dtype)).dtype
        return frames.to(dtype).mean(0)


def interpolated(values: Tensor, good: Tensor) -> Tensor:
    """Values along the last axis, bad ones interpolated between the nearest good ones, of which there are."""
    n = values.shape[-1]
    place = torch.arange(n, device=values.device).expand(values.shape)
    left = torch.where(good, place, -1).cummax(-1).values
    right = torch.where(good, place, n).flip(-1).cummin(-1).values.flip(-1)
    left, right = torch.where(left < 0, right, left), torch.where(right == n, left, right)
    share = (place - left).to(values.dtype) / (right - left).clamp_min(1)
    between = torch.lerp(values.gather(-1, left), values.gather(-1, right), share)
    return torch.where(good, values, between)


@hookimpl
def preimage_preparation(settings: Settings, dataset: xr.Dataset) -> FlatField:
    """Make the preparation."""
    return FlatField(settings.smallest, dataset)


@hookimpl
def preimage_axes(settings: Settings, dataset: xr.Dataset) -> Mapping[str, Axis]:
    """Projections and slices are independent; bad pixels are mended from their row."""
    return dict.fromkeys((*slice_dims(dataset, WHO), ANGLE), split)


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """Counts, transmission and line integrals; where pixels are bad, and their neighbours, as 64-bit numbers."""
    found = dataset["measurement"]
    itemsize = np.result_type(found.dtype, np.float32).itemsize
    return Memory(per_input=(6 * itemsize + 6 * 8) / found.dtype.itemsize)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, xr.Dataset]]:
    """Integers and floating numbers; other orders of dims; a pixel that is dead, one that is opaque, no slices."""
    for slices, dtype in (({"z": 3}, np.uint16), ({"time": 2, "z": 1}, np.float32), ({}, np.float32)):
        yield Settings(), counts({**slices}, dtype).transpose(ANGLE, ...)
    yield Settings(smallest=0.2), counts({"z": 2}, np.float32)


def counts(slices: Mapping[str, int], dtype: Any) -> xr.Dataset:
    """What a detector counts of the discs, with its fields; pixel 2 is dead."""
    dataset = scan(slices, n_angles=4, n_pixels=7)
    shape = tuple(slices.values())
    gain = np.linspace(0.5, 1, 7)
    gain[2] = 0
    noise = np.random.default_rng(0).integers(-3, 4, (2, *shape, 7))
    measured = 100 + 4000 * gain * np.exp(-dataset["measurement"].values)
    white = np.broadcast_to(100 + 4000 * gain, (2, *shape, 7)) + noise
    white[..., 2] = 100
    return dataset.assign(
        measurement=(dataset["measurement"].dims, measured.astype(dtype)),
        white=((FRAME["white"], *slices, DETECTOR), white.astype(dtype)),
        dark=((FRAME["dark"], *slices, DETECTOR), np.full((1, *shape, 7), 100, dtype)),
    )
