"""Which planes of an image are drawn, and how they are read: nothing but them, chunk by chunk."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from preimage.data import values_of
from preimage.volumes.planning.plan import Bounds

Array = NDArray[Any]

SPATIAL = ("x", "y", "z")
FURTHER = ("time", "echo", "set", "coil")
"""Dims that are no axes of space."""
MAX_VOXELS = 512
"""Along an axis of a picture; of longer ones every so many voxels are drawn."""
MAX_RATIO = 8.0
"""Between the sides of a picture; longer ones are not drawn to scale."""


@dataclass(frozen=True)
class Plane:
    """A plane of an image, or a line where it has one axis.

    Attributes
    ----------
    dims : rows, columns.
    at : index of every other dim.
    sizes : length of every dim.
    """

    dims: tuple[str, ...]
    at: Mapping[str, int]
    sizes: Mapping[str, int]

    @property
    def steps(self) -> dict[str, int]:
        """Every how many voxels one is drawn."""
        return {dim: math.ceil(self.sizes[dim] / MAX_VOXELS) for dim in self.dims}

    @property
    def drawn(self) -> dict[str, slice]:
        """The voxels along its dims that are drawn."""
        return {dim: slice(None, None, step) for dim, step in self.steps.items()}

    @property
    def title(self) -> str:
        """Such as `z–y at x = 64 of 128`; dims of length one go without saying."""
        places = [f"{dim} = {i} of {self.sizes[dim]}" for dim, i in self.at.items() if self.sizes[dim] > 1]
        return "–".join(self.dims) + (f" at {', '.join(places)}" if places else "")

    def read(self, image: xr.DataArray) -> Array:
        """Its voxels that are drawn."""
        return read(image.isel({**self.at, **self.drawn}), self.dims)

    def crosses(self, region: Mapping[str, Bounds]) -> bool:
        """Whether a part of it lies in a region."""
        return all(start <= self.at[dim] < stop for dim, (start, stop) in region.items() if dim in self.at)


def read(image: xr.DataArray, dims: tuple[Hashable, ...]) -> Array:
    """Values with dims in this order, in double precision; of what is stored in chunks one is in memory at a time."""
    with zarr.config.set({"async.concurrency": 1}):
        found = values_of(image, dims)
    return found.astype(np.complex128 if np.iscomplexobj(found) else np.float64)


def central_planes(sizes: Mapping[str, int]) -> list[Plane]:
    """The planes through the middle: three of a volume, one of an image; a line of a signal.

    Axes are x, y and z where there are two of them, else the last dims that are not time, echo, set or coil.
    """
    axes = _axes(sizes)
    middle = {dim: n // 2 for dim, n in sizes.items()}
    pairs = itertools.combinations(axes, min(len(axes), 2))
    planes = [Plane(pair, {dim: i for dim, i in middle.items() if dim not in pair}, sizes) for pair in pairs]
    return planes[::-1]  # that across the outermost axis first, as the image is stored


def _axes(sizes: Mapping[str, int]) -> tuple[str, ...]:
    long = [dim for dim, n in sizes.items() if n > 1]
    for found in ([dim for dim in long if dim in SPATIAL], [dim for dim in long if dim not in FURTHER]):
        if len(found) > 1:
            return tuple(found[-3:])
    return tuple(long[-2:])


@dataclass(frozen=True)
class Extent:
    """How large a plane is.

    Attributes
    ----------
    height, width : in the unit of its voxels.
    voxel : length of a voxel along rows and columns; None where it is not known, and voxels are drawn square.
    unit : of these lengths; empty where it is not known.
    to_scale : False where a side would be too short to be seen.
    """

    height: float
    width: float
    voxel: tuple[float, ...] | None
    unit: str
    to_scale: bool


def extent(plane: Plane, image: xr.DataArray, attributes: Mapping[str, Any]) -> Extent:
    """The size of a plane by the attribute `voxel_size`, in mm, or the coordinates of the image."""
    voxel, unit = _stated(plane, image, attributes), "mm"
    if not voxel:
        voxel, unit = _spacings(plane, image)
    if len(voxel) < len(plane.dims) or not all(0 < n < math.inf for n in voxel):
        voxel = ()
    height, width = (plane.sizes[dim] * n for dim, n in zip(plane.dims, voxel or (1.0, 1.0), strict=True))
    shortest = max(height, width) / MAX_RATIO
    to_scale = min(height, width) >= shortest
    return Extent(max(height, shortest), max(width, shortest), voxel or None, unit, to_scale)


def _stated(plane: Plane, image: xr.DataArray, attributes: Mapping[str, Any]) -> tuple[float, ...]:
    stated = attributes.get("voxel_size")
    if isinstance(stated, list) and len(stated) == image.ndim:
        stated = dict(zip(map(str, image.dims), stated, strict=True))
    if not isinstance(stated, dict):
        return ()
    return tuple(float(stated[dim]) for dim in plane.dims if isinstance(stated.get(dim), (int, float)))


def _spacings(plane: Plane, image: xr.DataArray) -> tuple[tuple[float, ...], str]:
    """Distances of the coordinates, if all are in one unit, and that unit."""
    found = [image.coords[dim] for dim in plane.dims if dim in image.coords]
    units = {str(one.attrs.get("units", "")) for one in found}
    if len(units) != 1 or any(one.dtype.kind not in "iuf" for one in found):
        return (), ""
    return tuple(float(abs(one[-1] - one[0])) / (one.size - 1) for one in found), units.pop()
