"""Where the voxels of an image lie: the step, unit and origin of every dim, and the affine.

A dim's evenly spaced coordinates say it if their unit is known, else the attribute `voxel_size`, in mm. The
attribute `affine`, in mm, has a column for each dim that `voxel_size` names, in that order; without names, for the
spatial dims in the order in which the image is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preimage.errors import DataError

SPACE = ("x", "y", "z")
TIME = ("t", "time")

MILLIMETRE = "millimeter"
LENGTHS = {
    "m": "meter",
    "cm": "centimeter",
    "mm": MILLIMETRE,
    "um": "micrometer",
    "µm": "micrometer",  # the micro sign
    "μm": "micrometer",  # the Greek letter
    "nm": "nanometer",
    "Å": "angstrom",
}
DURATIONS = {"h": "hour", "min": "minute", "s": "second", "ms": "millisecond", "us": "microsecond", "µs": "microsecond"}
"""Units as they are abbreviated → their names in UDUNITS-2."""
IN_MILLIMETRES = {"meter": 1e3, "centimeter": 1e1, MILLIMETRE: 1.0, "micrometer": 1e-3, "nanometer": 1e-6}
IN_MILLIMETRES["angstrom"] = 1e-7
IN_SECONDS = {"hour": 3600.0, "minute": 60.0, "second": 1.0, "millisecond": 1e-3, "microsecond": 1e-6}
EVEN = 1e-3
"""Of a step: coordinates that are off by less are evenly spaced."""


@dataclass(frozen=True)
class Axis:
    """A dim of an image.

    Attributes
    ----------
    step : from one voxel to the next, in `unit`; 1 where it is not known.
    unit : a name of UDUNITS-2, or None where it is not known.
    origin : of the first voxel's centre.
    """

    step: float = 1.0
    unit: str | None = None
    origin: float = 0.0


def axis_of(dim: str, image: xr.DataArray, attributes: Mapping[str, Any]) -> Axis:
    """The axis of a dim, by its coordinates or the attribute `voxel_size`."""
    return _by_coordinates(dim, image) or _by_voxel_size(dim, image, attributes) or Axis()


def _by_coordinates(dim: str, image: xr.DataArray) -> Axis | None:
    if dim not in image.coords or image.sizes[dim] < 2 or image.coords[dim].dtype.kind not in "iuf":
        return None
    found = image.coords[dim]
    names = DURATIONS if dim in TIME else LENGTHS
    stated = str(found.attrs.get("units"))
    unit = stated if stated in names.values() else names.get(stated)
    places = np.asarray(found.values, np.float64)
    step = float(places[-1] - places[0]) / (places.size - 1)
    even = np.abs(np.diff(places) - step) < EVEN * step  # nowhere, if they descend
    return Axis(step, unit, float(places[0])) if unit and even.all() else None


def _by_voxel_size(dim: str, image: xr.DataArray, attributes: Mapping[str, Any]) -> Axis | None:
    stated = attributes.get("voxel_size")
    if isinstance(stated, list) and len(stated) == image.ndim:
        stated = dict(zip(map(str, image.dims), stated, strict=True))
    step = stated.get(dim) if isinstance(stated, dict) and dim in SPACE else None
    known = isinstance(step, (int, float)) and 0 < step < np.inf
    return Axis(float(step), MILLIMETRE) if known and step is not None else None


def affine_of(
    dims: Sequence[str], image: xr.DataArray, attributes: Mapping[str, Any], at: Mapping[str, int]
) -> NDArray[np.float64]:
    """From indices along some dims to places in mm.

    Parameters
    ----------
    dims : those of the first columns; up to three.
    image : as it is stored.
    at : the index along dims that are not exported.

    Raises
    ------
    DataError : the attribute `affine` is no matrix, or does not have one of the dims.
    """
    if "affine" not in attributes:
        return _scaling(dims, image, attributes)
    try:
        stated = np.asarray(attributes["affine"], np.float64)
    except (TypeError, ValueError):
        stated = np.empty(0)
    if stated.shape != (4, 4) or not np.isfinite(stated).all():
        raise DataError("the attribute affine is no matrix of 4 × 4 finite numbers: correct it, or leave it out")
    sizes = attributes.get("voxel_size")
    named = [str(dim) for dim in (sizes if isinstance(sizes, dict) else image.dims) if dim in SPACE]
    if missing := [dim for dim in dims if dim not in named]:
        raise DataError(
            f"the attribute affine has columns for {', '.join(named)}, not for {missing[0]}: "
            "name its dims, in their order, in the attribute voxel_size"
        )
    used = [named.index(dim) for dim in dims]
    rest = [column for column in range(3) if column not in used]
    affine = stated[:, [*used, *rest, 3]]
    for dim, index in at.items():
        if dim in named:
            affine[:3, 3] += index * stated[:3, named.index(dim)]
    return affine


def _scaling(dims: Sequence[str], image: xr.DataArray, attributes: Mapping[str, Any]) -> NDArray[np.float64]:
    affine = np.eye(4)
    for i, dim in enumerate(dims):
        axis = axis_of(dim, image, attributes)
        unit = IN_MILLIMETRES[axis.unit or MILLIMETRE]
        affine[i, i], affine[i, 3] = axis.step * unit, axis.origin * unit
    return affine
