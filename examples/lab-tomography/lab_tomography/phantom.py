"""Discs whose projections are known in closed form: scans to try methods on."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from lab_tomography.geometry import ANGLE, DETECTOR

DISCS = ((0.0, 0.0, 0.8, 0.5), (0.3, 0.2, 0.3, 0.4), (-0.4, 0.1, 0.2, -0.2))
"""Middle (x, y), radius and value of each, lengths in half the width of the field of view."""


def projections(angles: NDArray[np.float64], n_pixels: int, centre: float, half_width: float) -> NDArray[np.float64]:
    """The line integrals of the discs, averaged over each pixel of the detector; (angle, detector).

    Parameters
    ----------
    angles : in radians.
    centre : where the axis of rotation is seen, in pixels from the middle of the first.
    half_width : of the field of view, in pixels.
    """
    edges = np.arange(n_pixels + 1) - 0.5 - centre
    total = np.zeros((len(angles), n_pixels))
    for x, y, radius, value in DISCS:
        seen = half_width * (x * np.cos(angles) + y * np.sin(angles))
        total += value * np.diff(_area_left_of(edges - seen[:, None], half_width * radius), axis=-1)
    return total


def discs(n: int, half_width: float, *, n_sub: int = 8) -> NDArray[np.float64]:
    """The discs themselves, averaged over each of n × n pixels by n_sub × n_sub points in it; (y, x)."""
    points = (np.arange(n * n_sub) + 0.5) / n_sub - n / 2
    total = np.zeros((n * n_sub, n * n_sub))
    for x, y, radius, value in DISCS:
        inside = (points - half_width * x) ** 2 + (points[:, None] - half_width * y) ** 2 < (half_width * radius) ** 2
        total += value * inside
    pixels: NDArray[np.float64] = total.reshape(n, n_sub, n, n_sub).mean((1, 3))
    return pixels


def scan(
    slices: Mapping[str, int],
    n_angles: int,
    n_pixels: int,
    *,
    unit: str = "deg",
    centre: float | None = None,
    dtype: type = np.float32,
) -> xr.Dataset:
    """A scan of the discs over half a turn; every slice is a multiple of them.

    Parameters
    ----------
    slices : dims of slices and their lengths.
    centre : where the axis of rotation is seen, which the dataset then says; else in the middle, and it does not.
    """
    angles = np.arange(n_angles) * math.pi / n_angles
    middle = (n_pixels - 1) / 2
    one = projections(angles, n_pixels, middle if centre is None else centre, n_pixels / 2)
    values = one * (1 + np.arange(math.prod(slices.values())).reshape(*slices.values(), 1, 1))
    variables: dict[str, object] = {"measurement": ((*slices, ANGLE, DETECTOR), values.astype(dtype))}
    if centre is not None:
        variables["centre"] = ((), centre)
    shown = np.degrees(angles) if unit == "deg" else angles
    return xr.Dataset(variables, coords={ANGLE: (ANGLE, shown, {"units": unit})})


def _area_left_of(t: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """The area of the part of a disc that is left of a line at the distance t from its middle."""
    u = np.clip(t / radius, -1, 1)
    area: NDArray[np.float64] = radius**2 * (u * np.sqrt(1 - u**2) + np.arcsin(u) + math.pi / 2)
    return area
