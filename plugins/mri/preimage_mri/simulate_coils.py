"""Receive coils round the object: smooth complex sensitivities to simulate data with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
import xarray as xr
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

import preimage
from preimage import Memory, hookimpl, split
from preimage.data import Preparation, Region, device_of, header, require, variable
from preimage.declarations import Axis
from preimage.errors import DataError
from preimage_mri.dims import COIL, KSPACE_DIM, comma, image_dims, names
from preimage_mri.examples import ball

WHO = "simulate-coils"

RING = 0.5
"""Distance of either ring from the middle of the axis, in half the field of view."""

requires = {"truth": ()}
provides = {"sensitivities": (COIL,)}


class Settings(preimage.Settings):
    """An array of coils on a cylinder, whose axis is the truth's first dim of three."""

    n_coils: PositiveInt = 8
    """Number of coils."""
    distance: PositiveFloat = Field(default=1.5, gt=1)
    """Distance of the coils from the axis, in half the field of view; nearer coils see less far."""


class SimulateCoils(Preparation):
    """The fields of short wires that stand round the object, parallel to the axis of a cylinder.

    By the law of Biot and Savart a piece of wire along the axis has at r the field B ∝ axis × r / |r|³, which is
    received as the complex number B₁ − i B₂ of its two transverse components. The wires form two rings, one to either
    side of the middle of the axis and turned by half a step, so that sensitivities change along the axis too
    and are no product of a function of it and one of the plane. Round a truth in the plane they form one ring.
    Lengths are in half the field of view along each dim. The root-sum-of-squares over the coils is 1 everywhere.

    References
    ----------
    Roemer et al., The NMR phased array, Magnetic Resonance in Medicine 16, 1990.
    """

    def __init__(self, n_coils: int, distance: float, dataset: xr.Dataset) -> None:
        self.n_coils = n_coils
        self.distance = distance
        found = require(dataset, "truth", who=WHO)
        self.dims = image_dims(found.dims)
        if not self.dims:
            raise DataError(
                f"{WHO} needs a 'truth' with some of the dims {comma(KSPACE_DIM)}: it has {comma(found.dims)}"
            )
        self.sizes = {dim: found.sizes[dim] for dim in self.dims}
        self.dtype = np.result_type(found.dtype, np.complex64)

    def describe(self, dataset: xr.Dataset) -> xr.Dataset:
        """Add the sensitivities."""
        shape = (self.n_coils, *self.sizes.values())
        return dataset.assign(sensitivities=header((COIL, *self.dims), shape, self.dtype))

    def reads(self, dataset: xr.Dataset) -> Region:
        """Next to nothing: no value is looked at."""
        return {dim: slice(0, 1) for dim in names(dataset.dims)}

    def fit(self, dataset: xr.Dataset) -> xr.Dataset:
        """Where every index of every dim is, from −1 to 1, so that a block knows its place."""
        return xr.Dataset(
            {_position(dim): ((dim,), (np.arange(n) - n // 2) / max(n / 2, 1)) for dim, n in self.sizes.items()}
        )

    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """Add the sensitivities of a block."""
        device = device_of(dataset)
        places = [torch.from_numpy(fitted[_position(dim)].values).to(device) for dim in self.dims]
        grid = [place.reshape([-1 if i == j else 1 for j in range(len(places))]) for i, place in enumerate(places)]
        dtype = torch.from_numpy(np.zeros((), self.dtype)).dtype
        maps = torch.empty((self.n_coils, *map(len, places)), dtype=dtype, device=device)
        energy = torch.zeros(maps.shape[1:], dtype=torch.float64, device=device)
        for coil in range(self.n_coils):
            field = self.field(coil, grid)
            energy += field.abs().square()
            maps[coil] = field
        maps /= energy.sqrt().to(dtype.to_real()).clamp_min(torch.finfo(dtype).tiny)  # never 0 / 0
        return dataset.assign(sensitivities=variable(maps, (COIL, *self.dims)))

    def field(self, coil: int, grid: list[Tensor]) -> Tensor:
        """What a coil receives, in double precision.

        Parameters
        ----------
        grid : coordinates along each dim, which broadcast.
        """
        nowhere = torch.zeros_like(grid[0])
        axis, *plane = {1: [nowhere, *grid, nowhere], 2: [nowhere, *grid], 3: grid}[len(grid)]
        angle = 2 * math.pi * coil / self.n_coils
        ring = RING * (-1) ** coil if len(grid) == 3 else 0.0
        r = axis - ring, plane[0] - self.distance * math.cos(angle), plane[1] - self.distance * math.sin(angle)
        distance3 = (r[0] ** 2 + r[1] ** 2 + r[2] ** 2) ** 1.5
        return torch.complex(-r[2] / distance3, -r[1] / distance3)


def _position(dim: str) -> str:
    return f"position_{dim}"


@hookimpl
def preimage_preparation(settings: Settings, dataset: xr.Dataset) -> SimulateCoils:
    """Make the preparation."""
    return SimulateCoils(settings.n_coils, settings.distance, dataset)


@hookimpl
def preimage_axes(settings: Settings, dataset: xr.Dataset) -> Mapping[str, Axis]:
    """Every place is on its own."""
    return dict.fromkeys(names(dataset["truth"].dims), split)


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """A complex map for each coil, and some fields in double precision."""
    return Memory(per_input=2.5 * settings.n_coils + 40)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, xr.Dataset]]:
    """A volume, a plane with an odd and a size-one dim, a line with a time, one coil."""
    for settings, sizes in (
        (Settings(n_coils=5), {"x": 4, "z": 5, "y": 3}),
        (Settings(n_coils=4, distance=2.5), {"z": 7, "y": 1}),
        (Settings(n_coils=3), {"time": 2, "y": 6}),
        (Settings(n_coils=1), {"y": 4, "x": 4}),
    ):
        yield settings, xr.Dataset({"truth": (list(sizes), ball(sizes))})
