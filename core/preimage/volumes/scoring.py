"""Scoring a stored estimate against the truth, block by block."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from preimage import metrics
from preimage.data import values_of
from preimage.metrics import METRICS, Array, Metric, Partial, aligned, comparable
from preimage.volumes import stores
from preimage.volumes.planning.plan import Bounds, StagePlan


def score(
    output: Path,
    name: str,
    truth: xr.DataArray,
    stage: StagePlan,
    ambiguity: frozenset[str],
    independent: Collection[str],
) -> dict[str, float]:
    """PSNR, SSIM and NRMSE of an unknown of a run, read in the blocks in which it was made.

    Parameters
    ----------
    name : of the array, such as `estimate`.
    ambiguity : of the operator.
    independent : dims along which every index is a problem of its own, cut into blocks or not.
    """
    estimate = stores.open_dataset(output)[name]
    dims = estimate.dims
    axes = tuple(i for i, dim in enumerate(estimate.dims) if dim not in independent)
    truth_max = 0.0
    for region in stage.regions():
        truth_max = float(np.maximum(truth_max, np.abs(_read(truth, region, dims)).max()))  # keeps what is not a number
    if not 0 < truth_max < np.inf:
        return {}  # a truth of zeros, or one with values that are not finite, is nothing to compare with
    scalars, found = {"truth_max": truth_max}, {}
    for metric in METRICS:
        total: Partial = {}
        for region in stage.regions():
            wide = _widened(region, metric, estimate)
            one, other = comparable(_read(truth, wide, dims), _read(estimate, wide, dims))
            total = metrics.merge(total, metric.partial(one, aligned(one, other, ambiguity, axes), scalars))
        value = metric.finish(total, scalars)
        if not np.isnan(value):
            found[metric.name] = value
    return found


def _read(image: xr.DataArray, region: Mapping[str, Bounds], dims: tuple[Hashable, ...]) -> Array:
    here: dict[Any, slice] = {dim: slice(*bounds) for dim, bounds in region.items()}
    return values_of(image.isel(here).variable, dims)


def _widened(region: Mapping[str, Bounds], metric: Metric, image: xr.DataArray) -> dict[str, Bounds]:
    """A region with the metric's halo along the last two dims, up to the edges of the image."""
    plane = [str(dim) for dim in image.dims[-2:]]
    return {
        dim: (max(0, start - metric.halo), min(image.sizes[dim], stop + metric.halo)) if dim in plane else (start, stop)
        for dim, (start, stop) in region.items()
    }


def misfit_totals(facts: Iterator[Mapping[str, Any]]) -> dict[str, float]:
    """Residual and held-out NMSE of the whole run, from the squared misfits of its blocks."""
    total: Partial = {}
    for block in facts:
        names = ("misfit2", "data2", "held_out_misfit2", "held_out_data2")
        total = metrics.merge(total, {name: float(block[name]) for name in names if name in block})
    found = {}
    if total.get("data2"):
        found["residual"] = float(np.sqrt(total["misfit2"] / total["data2"]))
    if total.get("held_out_data2"):
        found["held_out_nmse"] = total["held_out_misfit2"] / total["held_out_data2"]
    return found
