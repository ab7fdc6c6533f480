"""Parallel-beam tomography: line integrals through slices, y = ∫ x along x cos θ + y sin θ = t."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import preimage
import xarray as xr
from preimage import Memory, hookimpl, split, whole
from preimage.data import require
from preimage.declarations import Axis
from preimage.space import Space
from pydantic import FiniteFloat, PositiveFloat, PositiveInt

from lab_tomography.geometry import ANGLE, DETECTOR, IMAGE, read_angles, scan_spaces
from lab_tomography.phantom import discs, scan
from lab_tomography.projector import ParallelBeam

WHO = "operator parallel-beam"

requires = {ANGLE: (ANGLE,)}
uses = ("centre",)


class Settings(preimage.Settings):
    """The measurement has the dims `angle`, `detector` and those of slices; a slice has the dims y and x."""

    size: PositiveInt | None = None
    """Pixels along a side of a slice, of the detector's size; as many as the detector has if not given."""
    pixel_size: PositiveFloat = 1.0
    """Length of a pixel: the result is attenuation per this length."""
    centre: FiniteFloat | None = None
    """Where the axis of rotation is seen, in pixels from the middle of the detector's first; if not given, the
    dataset's `centre`, else the middle of the detector."""


@hookimpl
def preimage_operator(settings: Settings, dataset: xr.Dataset) -> ParallelBeam:
    """The projector of a block of slices."""
    image, data = scan_spaces(dataset, settings.size, WHO)
    angles, centre = read_angles(dataset, WHO).tolist(), _centre(settings, dataset, data)
    return ParallelBeam(image, data, angles, centre, settings.pixel_size)


@hookimpl
def preimage_spaces(settings: Settings, dataset: xr.Dataset) -> tuple[Space, Space]:
    """The slices, and their projections."""
    return scan_spaces(dataset, settings.size, WHO)


@hookimpl
def preimage_axes(settings: Settings, dataset: xr.Dataset) -> Mapping[str, Axis]:
    """Slices are independent; a projection needs all of its slice."""
    image, _ = scan_spaces(dataset, settings.size, WHO)
    return {dim: whole if dim in IMAGE else split for dim in image.dims}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """Projections and their residual, and a table of them; slices, and tables of their rows and of their columns."""
    _, data = scan_spaces(dataset, settings.size, WHO)
    n = settings.size or data.sizes[DETECTOR]
    weights = 6 * 8 * n * max(data.sizes[ANGLE], data.sizes[DETECTOR])  # of one row of pixels, or one projection
    return Memory(workspace=weights, per_input=4, per_image=3)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, xr.Dataset]]:
    """Even, odd and size-one lengths; degrees and radians; centres; detectors that are too short; a truth."""
    yield Settings(), scan({"z": 3}, n_angles=5, n_pixels=7)
    yield Settings(centre=2.25, pixel_size=0.5), scan({}, n_angles=6, n_pixels=8, unit="rad")
    yield Settings(size=9), scan({"time": 2, "z": 1}, n_angles=4, n_pixels=6, centre=2.0)
    yield Settings(size=4), scan({"z": 2}, n_angles=1, n_pixels=5)
    yield Settings(), scan({}, n_angles=3, n_pixels=7).drop_vars("measurement").assign(truth=(IMAGE, discs(7, 3.5)))


def _centre(settings: Settings, dataset: xr.Dataset, data: Space) -> float:
    if settings.centre is not None:
        return settings.centre
    if "centre" not in dataset.variables:
        return (data.sizes[DETECTOR] - 1) / 2
    found = require(dataset, "centre", (), WHO)
    return float(found.values)
