"""Doing a block: read a region, prepare and solve it, write whole write units; its marker is written last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
import xxhash

from preimage.data import values_of
from preimage.errors import PluginError, RequestError
from preimage.files import flush
from preimage.problem import Problem
from preimage.solving import State, solve
from preimage.space import Blocks
from preimage.volumes import stores
from preimage.volumes.planning.layouts import estimate_spaces
from preimage.volumes.planning.plan import Region, slices, within
from preimage.volumes.tasks.misfits import misfits
from preimage.volumes.tasks.observing import (
    HISTORY,
    HISTORY_DIMS,
    QUANTITIES,
    Checkpoints,
    History,
    Iterations,
    history_region,
)
from preimage.volumes.tasks.rounds import found_in_round
from preimage.volumes.tasks.sharing import shared_block
from preimage.volumes.tasks.task import Facts

if TYPE_CHECKING:
    from preimage.volumes.tasks.worker import Worker


def solve_block(worker: Worker, stage: int, block: int, region: Region) -> Facts:
    """Solve a block and store what was found; where blocks agree, that of the last round."""
    if worker.plan.stages[stage].overlap:
        return _agreed_block(worker, stage, block, region)
    dataset, solved = worker.prepared(stage, region)
    problem = worker.problem(region, dataset)
    _check_result(worker, problem)
    history = History.of(worker)
    path, every = worker.beside.state(stage, block), worker.compute.checkpoint
    watch = Checkpoints(path, worker.run, history, every, worker.interrupted)
    observers = (history, watch, Iterations(block, worker))
    # By no name: what a state holds is let go as soon as a step has made the next.
    state = solve(worker.solver, problem, observers=observers, state=watch.resume(problem))
    if watch.stopped:
        watch.save(state)
        raise KeyboardInterrupt
    fits = judge(worker, dataset, problem, state, history, within(solved, region))
    if known := worker.stored_meanwhile(stage, block):
        return known
    return {
        **_store_results(worker, block, region, solved, state, history),
        "iterations": state.iteration,
        "resumed_from": watch.resumed_from,
        "said": watch.said,
        "ambiguity": sorted(problem.ambiguity),
        **fits,
    }


def judge(
    worker: Worker, dataset: xr.Dataset, problem: Problem, state: State, history: History, inner: Mapping[str, slice]
) -> dict[str, float]:
    """Note the last iteration in the history, and how well the block fits; A(x) − y is computed once for both."""
    misfit = history.last(problem, state)
    return misfits(worker, dataset, problem, state.x, inner, misfit)


def _agreed_block(worker: Worker, stage: int, block: int, region: Region) -> Facts:
    """Store what a block found in the last round."""
    dataset, _ = worker.prepared(stage, region)
    shared, history = shared_block(worker, stage, region), History.of(worker)
    state, seconds = found_in_round(worker, stage, block, worker.rounds, shared, history)
    history.last(shared.share, state)
    if known := worker.stored_meanwhile(stage, block):
        return known
    return {
        **_store_results(worker, block, region, shared.wide, state, history),
        "iterations": state.iteration,
        "seconds": seconds,
        "resumed_from": None,
        "said": [],
        "ambiguity": sorted(shared.own.ambiguity),
        **misfits(worker, dataset, shared.own, state.x[shared.at(region)], {}),
    }


def store_block(worker: Worker, stage: int, block: int, region: Region) -> Facts:
    """Prepare a block and store what the stage hands to the next."""
    dataset, _ = worker.prepared(stage, region)
    if known := worker.stored_meanwhile(stage, block):
        return known
    store = worker.beside.scratch(stage)
    return _facts(
        store_region(store, name, array.dims, region, values_of(dataset[name].variable, array.dims))
        for name, array in worker.plan.stages[stage].outputs.items()
    )


def _check_result(worker: Worker, problem: Problem) -> None:
    result = worker.solver.result_space(problem)
    if result != problem.domain:
        raise RequestError(
            f"solver {worker.resolved.chain.solver.name} gives {result}, and a run stores the unknown, "
            f"{problem.domain}: call preimage.solve in Python instead"
        )


def _store_results(worker: Worker, block: int, region: Region, solved: Region, state: State, history: History) -> Facts:
    """Store the estimate of a block and its history."""
    stored = []
    for name, space in estimate_spaces(worker.resolved.domain).items():
        part = state.x[name.removeprefix("estimate_")] if isinstance(state.x, Blocks) else state.x
        inner = within(solved, region)
        part = part[tuple(inner.get(dim, slice(None)) for dim in space.dims)]
        values = (part * worker.scale if worker.scale != 1.0 else part).cpu().numpy()
        stored.append(store_region(worker.output, name, space.dims, region, values))
    rows = _history_rows(worker, history)[None]
    stored.append(store_region(worker.output, HISTORY, HISTORY_DIMS, history_region(block), rows))
    return _facts(stored)


def _history_rows(worker: Worker, history: History) -> np.ndarray[Any, Any]:
    rows = stores.open_for_writing(worker.output, HISTORY)
    values = np.full(rows.shape[1:], np.nan)
    for iteration, quantities in history.rows.items():
        row = [quantities[name] for name in QUANTITIES]
        if iteration == history.final:
            values[-1] = row
        if iteration % history.every == 0:
            values[iteration // history.every - 1] = row
    return values


def store_region(
    store: Path, name: str, dims: tuple[str, ...], region: Region, values: np.ndarray[Any, Any]
) -> tuple[str, str, dict[str, int]]:
    """Write a block into an array.

    Returns
    -------
    name, digest, objects : of the array; of the block's values; and the bytes of every stored object, by its key.
    """
    target = stores.open_for_writing(store, name)
    here = slices(region, dims)
    stores.check_whole_units(target, name, dims, here)
    part = tuple(here.get(dim, slice(None)) for dim in dims)
    values = _as_described(name, values, target.dtype)
    try:
        target[part] = values  # in place of an equal one that another attempt has stored, and somebody may be reading
    except (ValueError, RuntimeError):  # zarr reads a shard before it writes all of it, and this one is damaged
        stores.remove_objects(store, target, name, part)
        target[part] = values
    objects = stores.object_sizes(store, target, name, part)
    for key in objects:
        flush(store / name / key)  # a marker outlives a power cut: what it speaks of must too
    return name, digest(values), objects


def _as_described(name: str, values: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Values in the dtype of their array, in which they are stored and told from others."""
    if not np.can_cast(values.dtype, dtype, "same_kind"):
        raise PluginError(f"{name} is described as {dtype}, and its values are {values.dtype}: mend what makes them")
    return np.ascontiguousarray(values, dtype)


def digest(values: np.ndarray[Any, Any]) -> str:
    """The digest of a block's values, as its marker has it: 128 bits against accidents, not against an enemy."""
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(values).data)


def _facts(stored: Iterable[tuple[str, str, dict[str, int]]]) -> Facts:
    rows = list(stored)
    return {
        "digests": {name: found for name, found, _ in rows},
        "objects": {name: objects for name, _, objects in rows},
    }
