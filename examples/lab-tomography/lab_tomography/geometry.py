"""What the headers of a scan say: its slices, its angles and its detector."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from preimage.data import require, torch_dtype
from preimage.errors import DataError
from preimage.space import Space

ANGLE, DETECTOR = "angle", "detector"
IMAGE = ("y", "x")
"""Dims of a slice. All dims of a measurement beside angle and detector are those of independent slices."""
RADIANS = {"rad": 1.0, "radians": 1.0, "deg": math.pi / 180, "degrees": math.pi / 180}


def read_angles(dataset: xr.Dataset, who: str) -> NDArray[np.float64]:
    """The angles of the projections, in radians.

    Raises
    ------
    DataError : there are none, their unit is not known, or some are not finite.
    """
    found = require(dataset, ANGLE, (ANGLE,), who)
    unit = found.attrs.get("units")
    if unit not in RADIANS:
        raise DataError(f"{who} needs the unit of {ANGLE!r}: set its attribute units, {unit!r}, to deg or rad")
    angles = np.asarray(found.values, np.float64) * RADIANS[unit]
    if not np.isfinite(angles).all():
        raise DataError(f"{who}: {int((~np.isfinite(angles)).sum())} angles are not finite: leave them out")
    return angles


def slice_dims(dataset: xr.Dataset, who: str) -> tuple[str, ...]:
    """The dims of the measurement along which slices are independent.

    Raises
    ------
    DataError : it has no angle or no detector, or a dim that is one of the image.
    """
    dims = tuple(map(str, require(dataset, "measurement", who=who).dims))
    if not {ANGLE, DETECTOR} <= set(dims) or set(IMAGE) & set(dims):
        raise DataError(
            f"{who} needs a 'measurement' with the dims {ANGLE}, {DETECTOR} and those of slices, such as z, but not "
            f"{' or '.join(IMAGE)}: it has {', '.join(dims)}"
        )
    return tuple(dim for dim in dims if dim not in (ANGLE, DETECTOR))


def scan_spaces(dataset: xr.Dataset, size: int | None, who: str) -> tuple[Space, Space]:
    """The spaces of the slices and of their projections.

    Parameters
    ----------
    size : pixels along a side of a slice; None for as many as the detector has.

    Raises
    ------
    DataError : the measurement, or the truth to be measured, has other dims than it should, or is not real.
    """
    name = "measurement" if "measurement" in dataset.variables else "truth"
    found = require(dataset, name, who=who)
    sizes = {str(dim): n for dim, n in found.sizes.items()}
    if found.dtype.kind != "f":
        raise DataError(f"{who} needs {name!r} as real floating-point numbers: it is {found.dtype}; use flat-field")
    if name == "measurement":
        dims = slice_dims(dataset, who)
        n_pixels, n_angles = sizes[DETECTOR], sizes[ANGLE]
    else:
        dims = tuple(dim for dim in sizes if dim not in IMAGE)
        if sizes.get("y") != sizes.get("x") or "x" not in sizes or size not in (None, sizes["x"]):
            raise DataError(f"{who} needs a square 'truth' with as many pixels along y and x as size says: {sizes}")
        n_pixels, n_angles = sizes["x"], require(dataset, ANGLE, (ANGLE,), who).size
    slices = tuple(sizes[dim] for dim in dims)
    dtype, n = torch_dtype(dataset, name), size or n_pixels
    image = Space((*dims, *IMAGE), (*slices, n, n), dtype)
    return image, Space((*dims, ANGLE, DETECTOR), (*slices, n_angles, n_pixels), dtype)
