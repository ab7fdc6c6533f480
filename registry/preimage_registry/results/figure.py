"""The figure of a comparison: the same planes of every run, in one grey scale, and their errors, in one other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from preimage.report.planes import Array, Plane, central_planes, extent
from preimage.report.tables import SUMMARY
from preimage.report.view import View, view
from preimage_registry.results.compared import Compared

WIDTH = 2.6
"""Inches of a picture."""
DPI = 150
TITLE = ("psnr", "held_out_nmse", "residual")
"""Of these the first that a run has stands in its title."""


@dataclass(frozen=True)
class Row:
    """Pictures in one grey scale.

    Attributes
    ----------
    label : what they are of.
    images : by column; None where there is nothing to draw.
    limits : values of black and white.
    aspect : height of a voxel relative to its width.
    ratio : height of a picture relative to its width.
    """

    label: str
    images: Sequence[Array | None]
    limits: tuple[float, float]
    aspect: float
    ratio: float


def write_figure(path: Path, runs: Sequence[Compared], truths: Mapping[str, xr.DataArray]) -> None:
    """Draw central planes of every estimate, the truth first and the errors below where there is one."""
    rows = [row for name in runs[0].run.plan.solve.outputs for row in _rows(name, runs, truths.get(name))]
    columns = (["truth"] if truths else []) + [_titled(run) for run in runs]
    heights = [row.ratio for row in rows]
    figure = Figure(figsize=(WIDTH * len(columns), WIDTH * sum(heights) + 0.5), layout="constrained", dpi=DPI)
    grid = figure.subplots(len(rows), len(columns), squeeze=False, height_ratios=heights)
    for i, row in enumerate(rows):
        images = row.images if len(row.images) == len(columns) else [None, *row.images]
        for j, image in enumerate(images):
            _draw(grid[i, j], image, row)
        first = next(j for j, image in enumerate(images) if image is not None)
        grid[i, first].set_ylabel(row.label, fontsize=8)
    for axes, title in zip(grid[0], columns, strict=True):
        axes.set_title(title, fontsize=9)
    figure.savefig(path)


def _titled(run: Compared) -> str:
    """A run's name, and the number that says most of it."""
    first = next((name for name in TITLE if name in run.summary), None)
    return run.name if first is None else f"{run.name}\n{SUMMARY[first][0]} {SUMMARY[first][1](run.summary[first])}"


def _rows(name: str, runs: Sequence[Compared], truth: xr.DataArray | None) -> list[Row]:
    """Of one unknown: a row of images for each plane, and one of errors below it if there is a truth."""
    estimate = runs[0].result[name]
    planes = central_planes({str(dim): n for dim, n in estimate.sizes.items()})
    views = [view(planes, run.result[name], truth, run.freedom) for run in runs]
    signed = all(one.signed for one in views)
    what = name.removeprefix("estimate_") if name != "estimate" else ""
    rows = []
    black, white = _scale(views, signed)
    gain = min((one.gain for one in views), default=1) if truth is not None else 1
    for i, plane in enumerate(planes):
        images = [*([views[0].truths[i]] if truth is not None else []), *(one.estimates[i] for one in views)]
        shown = [image if signed else np.abs(image) for image in images]
        shape = _shape(plane, estimate, runs[0].result.attrs)
        about = " ".join(filter(None, [what, plane.title]))
        kind = "" if signed else "magnitude, "
        rows.append(Row(f"{about}\n{kind}{black:.3g} to {white:.3g}", shown, (black, white), **shape))
        if truth is not None:
            errors = [one.errors[i] for one in views]
            rows.append(Row(f"error × {gain}", errors, (0.0, (white - black) / gain), **shape))
    return rows


def _shape(plane: Plane, image: xr.DataArray, attributes: Mapping[str, Any]) -> dict[str, float]:
    """Aspect and ratio of the pictures of a plane."""
    if len(plane.dims) < 2:  # a curve
        return {"aspect": 1.0, "ratio": 0.6}
    size = extent(plane, image, attributes)
    ratio = size.height / size.width
    n_rows, n_columns = (math.ceil(plane.sizes[dim] / plane.steps[dim]) for dim in plane.dims)
    return {"aspect": ratio * n_columns / n_rows, "ratio": ratio}


def _scale(views: Sequence[View], signed: bool) -> tuple[float, float]:
    """Of the truth where there is one: a run that went astray must not darken the others."""
    images = views[0].truths or [image for one in views for image in one.estimates]
    values = np.concatenate([(image if signed else np.abs(image)).ravel() for image in images])
    values = values[np.isfinite(values)]
    low, high = (min(float(values.min()), 0.0), float(values.max())) if values.size else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1.0)


def _draw(axes: Any, image: Array | None, row: Row) -> None:
    if image is None:
        axes.set_axis_off()
        return
    if image.ndim < 2:
        axes.plot(np.atleast_1d(image), color="black", linewidth=0.8)
        axes.set_ylim(*row.limits)
        axes.tick_params(labelsize=7)
        return
    axes.imshow(image, cmap="gray", vmin=row.limits[0], vmax=row.limits[1], aspect=row.aspect, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
