"""Scoring a stored estimate against the truth, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from preimage import metrics
from preimage.metrics import METRICS, Array, Metric, Partial, alignment, comparable
from preimage.volumes import stores
from preimage.volumes.plan import Bounds, StagePlan


def score(output: Path, truth: xr.DataArray, stage: StagePlan, ambiguity: frozenset[str]) -> dict[str, float]:
    """PSNR, SSIM and NRMSE of the estimate of a run, read in the blocks in which it was made."""
    estimate = stores.open_dataset(output)["estimate"]
    truth = truth.transpose(*estimate.dims)
    scalars, factor = _scalars(truth, estimate, stage, ambiguity)
    if not 0 < scalars["truth_max"] < np.inf:
        return {}  # a truth of zeros, or one with values that are not finite, is nothing to compare with
    found = {}
    for metric in METRICS:
        total: Partial = {}
        for region in stage.regions():
            one, other = _read(truth, estimate, _widened(region, metric, truth))
            total = metrics.merge(total, metric.partial(*comparable(one, other * factor), scalars))
        value = metric.finish(total, scalars)
        if not np.isnan(value):
            found[metric.name] = value
    return found


def _scalars(
    truth: xr.DataArray, estimate: xr.DataArray, stage: StagePlan, ambiguity: frozenset[str]
) -> tuple[Mapping[str, float], complex]:
    """The numbers of the whole image that metrics share: its maximum, and how the estimate is turned."""
    truth_max, inner, norm2 = 0.0, 0.0 + 0.0j, 0.0
    for region in stage.regions():
        one, other = _read(truth, estimate, region)
        truth_max = float(np.maximum(truth_max, np.abs(one).max()))  # which keeps what is not a number
        inner += complex(np.vdot(other.astype(np.complex128), one.astype(np.complex128)))
        norm2 += float((np.abs(other.astype(np.complex128)) ** 2).sum())
    return {"truth_max": truth_max}, alignment(ambiguity, inner, norm2)


def _read(truth: xr.DataArray, estimate: xr.DataArray, region: Mapping[str, Bounds]) -> tuple[Array, Array]:
    here: dict[Any, slice] = {dim: slice(*bounds) for dim, bounds in region.items()}
    return np.asarray(truth.isel(here).values), np.asarray(estimate.isel(here).values)


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
