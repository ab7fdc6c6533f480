"""How well a solved block fits its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import xarray as xr

from preimage.chain import read_mask, read_measurement
from preimage.likelihoods import data_space, expected
from preimage.problem import Problem

if TYPE_CHECKING:
    from preimage.volumes.tasks.worker import Worker


def misfits(
    worker: Worker, dataset: xr.Dataset, problem: Problem, x: Any, inner: Mapping[str, slice], misfit: Any = None
) -> dict[str, float]:
    """Squared misfits of a block in the units of the data: of all its samples, and of those held out.

    Parameters
    ----------
    inner : the block within what was solved, along the dims where the two differ.
    misfit : that of the problem at x where it is known already.
    """
    chain, scale = worker.resolved.chain, worker.scale
    codomain: Any = problem.operator.codomain

    def squared(y: Any) -> float:
        if inner:
            y = y[tuple(inner.get(dim, slice(None)) for dim in codomain.dims)]
            return float((y.abs() ** 2).sum()) * scale**2
        return float(codomain.squared_norm(y).sum()) * scale**2

    with torch.no_grad():
        misfit = problem.misfit(x) if misfit is None else misfit
        sums = {"misfit2": squared(misfit), "data2": squared(problem.y)}
        if "held_out" in dataset.variables:
            judging = dataset.drop_vars("held_out").assign(mask=dataset["held_out"])
            elsewhere = chain.operator.make(dataset=judging, shared=worker.shared)
            where = read_mask(dataset, "held_out", codomain.dims)
            y = read_measurement(judging, data_space(problem.likelihood, codomain), masked=True) * (1 / scale)
            sums |= {
                "held_out_misfit2": squared(expected(problem.likelihood, elsewhere(x)) * where - y),
                "held_out_data2": squared(y),
            }
    return sums
