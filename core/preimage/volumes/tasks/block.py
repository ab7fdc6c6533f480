"""The block task: read a region, prepare and solve it, write whole write units, and a marker last.

A task is named by the run's store and two numbers. All else is rebuilt from the store's record by a
builder given as a dotted name, so that a task can run in this process or in any other.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from preimage.chain import Chain, read_mask, read_measurement
from preimage.data import DEVICE, ORIGIN, WHOLE, located
from preimage.errors import RequestError
from preimage.files import write_atomically
from preimage.problem import Problem
from preimage.randomness import derive_seed
from preimage.run_settings import ComputeSettings, OutputSettings
from preimage.solving import Solver, State, load_state, save_state, solve
from preimage.space import AnySpace, Blocks
from preimage.volumes import stores
from preimage.volumes.markers import Beside
from preimage.volumes.plan import Bounds, Plan, slices
from preimage.volumes.planner import estimate_spaces
from preimage.volumes.resolve import Element, Resolved, resolve

QUANTITIES = ("objective", "residual")

Facts = dict[str, Any]


def build_chain(builder: str, recipe: Mapping[str, Any]) -> Chain:
    """The chain of a recipe, by the builder's dotted name `module:function`.

    The name comes from the program that started the run, never from data or a run file.
    """
    module, _, function = builder.partition(":")
    return getattr(importlib.import_module(module), function)(recipe)  # type: ignore[no-any-return]


@dataclass
class Worker:
    """What one process keeps between the blocks of a run.

    Attributes
    ----------
    shared : what parts keep that does not depend on the block.
    interrupted : asked after every iteration; when it says True the state is saved and the task ends.
    """

    output: Path
    resolved: Resolved
    plan: Plan
    compute: ComputeSettings
    history: int
    device: torch.device
    scalars: Mapping[str, float]
    interrupted: Callable[[], bool] = lambda: False
    shared: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the solver, once."""
        self.beside = Beside(self.output)
        self.solver: Solver = self.resolved.chain.make_solver()
        self._fitted: dict[int, xr.Dataset] = {}
        self._inputs: dict[int, xr.Dataset] = {}

    def stop_if_asked(self) -> None:
        """Raise KeyboardInterrupt if the run is interrupted; nothing is in work here."""
        if self.interrupted():
            raise KeyboardInterrupt

    def run(self, stage: int, block: int) -> Facts:
        """Do one block of one stage, and return what its marker says."""
        started = time.perf_counter()
        region = self.plan.stages[stage].region(block)
        dataset = self.prepared(stage, region)
        facts: Facts = {"stage": stage, "block": block, "region": region}
        if self.plan.stages[stage].solves:
            facts |= self._solve(stage, block, region, dataset)
        else:
            facts |= self._store(stage, region, dataset)
        facts["seconds"] = round(time.perf_counter() - started, 4)
        self.beside.mark(stage, block, facts)
        return facts

    def prepared(self, stage: int, region: Mapping[str, Bounds]) -> xr.Dataset:
        """The dataset of a block after the stage's preparations."""
        plan = self.plan.stages[stage]
        source = self.stage_input(stage)
        dataset = located(source, slices(region, source.dims), self.device)
        for index in range(plan.first, plan.last):
            element = self.resolved.elements[index]
            dataset = apply(element, dataset, self.fitted(index), region)
        return dataset

    def stage_input(self, stage: int) -> xr.Dataset:
        """The dataset that a stage reads: the source, with what earlier stages stored in place of headers."""
        if stage not in self._inputs:
            dataset = self.resolved.source
            for earlier in range(stage):
                plan = self.plan.stages[earlier]
                for element in self.resolved.elements[plan.first : plan.last]:
                    dataset = element.preparation.describe(dataset)
                stored = stores.open_dataset(self.beside.scratch(earlier))
                dataset = dataset.assign({name: stored[name].variable for name in plan.outputs})
            self._inputs[stage] = dataset
        return self._inputs[stage]

    def fitted(self, index: int) -> xr.Dataset:
        """What a preparation fitted, in memory."""
        if index not in self._fitted:
            path = self.output / "calibration" / str(index)
            self._fitted[index] = stores.open_dataset(path).load() if path.exists() else xr.Dataset()
        return self._fitted[index]

    def problem(self, region: Mapping[str, Bounds], dataset: xr.Dataset) -> Problem:
        """The problem of a block."""
        chain = self.resolved.chain
        return chain.make_problem(
            dataset,
            self.shared,
            scalars=self.scalars,
            normalise=self.plan.normalise,
            seed=block_seed(chain.seed, self.resolved.domain, region),
        )

    def _solve(self, stage: int, block: int, region: Mapping[str, Bounds], dataset: xr.Dataset) -> Facts:
        problem = self.problem(region, dataset)
        self._check_result(problem)
        path = self.beside.state(stage, block)
        state = load_state(self.solver.start(problem), path) if path.exists() else None
        resumed_from = state.iteration if state is not None else None
        history = History(self.solver, self.history, self.beside.history(stage, block))
        watch = Checkpoints(path, history, self.compute.checkpoint, self.interrupted)
        state = solve(self.solver, problem, observers=(history, watch), state=state)
        if watch.stopped:
            watch.save(state)
            raise KeyboardInterrupt
        history.last(problem, state)
        scale = self.scalars["scale"] if self.plan.normalise else 1.0
        digests = self._write(region, state, scale)
        self._write_history(block, history)
        return {
            "digests": digests,
            "iterations": state.iteration,
            "resumed_from": resumed_from,
            "ambiguity": sorted(problem.operator.ambiguity),
            **misfits(self.resolved.chain, dataset, problem, state.x, scale, self.shared),
        }

    def _check_result(self, problem: Problem) -> None:
        result = self.solver.result_space(problem)
        if result != problem.domain:
            raise RequestError(
                f"solver {self.resolved.chain.solver.name} gives {result}, and a run stores the unknown, "
                f"{problem.domain}: call preimage.solve in Python instead"
            )

    def _write(self, region: Mapping[str, Bounds], state: State, scale: float) -> dict[str, str]:
        digests = {}
        for name, space in estimate_spaces(self.resolved.domain).items():
            part = state.x[name.removeprefix("estimate_")] if isinstance(state.x, Blocks) else state.x
            values = (part * scale if scale != 1.0 else part).cpu().numpy()
            digests[name] = write_region(self.output, name, space.dims, region, values)
        return digests

    def _write_history(self, block: int, history: History) -> None:
        rows = stores.open_for_writing(self.output, "history")
        values = np.full(rows.shape[1:], np.nan)
        for iteration, quantities in history.rows.items():
            row = [quantities[name] for name in QUANTITIES]
            if iteration == history.final:
                values[-1] = row
            if iteration % history.every == 0:
                values[iteration // history.every - 1] = row
        rows[block] = values

    def _store(self, stage: int, region: Mapping[str, Bounds], dataset: xr.Dataset) -> Facts:
        """Write what a stage hands to the next."""
        digests = {}
        for name, array in self.plan.stages[stage].outputs.items():
            values = dataset[name].transpose(*array.dims).values
            digests[name] = write_region(self.beside.scratch(stage), name, array.dims, region, values)
        return {"digests": digests}


def block_seed(seed: int, domain: AnySpace, region: Mapping[str, Bounds]) -> int:
    """The key of a block's random numbers: the run's seed, and where the block begins."""
    return derive_seed(seed, "solve", *(region[dim][0] if dim in region else 0 for dim in domain.sizes))


def apply(element: Element, dataset: xr.Dataset, fitted: xr.Dataset, region: Mapping[str, Bounds]) -> xr.Dataset:
    """A block after one preparation."""
    ours = {name: dataset.attrs[name] for name in (ORIGIN, WHOLE, DEVICE)}
    ours[WHOLE] = {**ours[WHOLE], **{str(dim): n for dim, n in element.after.sizes.items()}}
    after = element.preparation.apply(dataset, fitted.isel(slices(region, fitted.dims)))
    return after.assign_attrs(ours)


def write_region(
    store: Path, name: str, dims: tuple[str, ...], region: Mapping[str, Bounds], values: np.ndarray[Any, Any]
) -> str:
    """Write a block into an array, and return the digest of its values."""
    target = stores.open_for_writing(store, name)
    here = slices(region, dims)
    stores.check_whole_units(target, name, dims, here)
    target[tuple(here.get(dim, slice(None)) for dim in dims)] = values
    return hashlib.blake2b(np.ascontiguousarray(values).data, digest_size=16).hexdigest()


def misfits(
    chain: Chain, dataset: xr.Dataset, problem: Problem, x: Any, scale: float, shared: dict[str, Any]
) -> dict[str, float]:
    """Squared misfits of a block in the units of the data: of all its samples, and of those held out."""
    codomain: Any = problem.operator.codomain
    with torch.no_grad():
        wrong = problem.operator(x) - problem.y
        sums = {
            "misfit2": float(codomain.squared_norm(wrong).sum()) * scale**2,
            "data2": float(codomain.squared_norm(problem.y).sum()) * scale**2,
        }
        if "held_out" in dataset.variables:
            judging = dataset.drop_vars("held_out").assign(mask=dataset["held_out"])
            elsewhere = chain.operator.make(dataset=judging, shared=shared)
            where = read_mask(dataset, "held_out", codomain.dims)
            y = read_measurement(judging, codomain, masked=True) * (1 / scale)
            wrong = elsewhere(x) * where - y
            sums["held_out_misfit2"] = float(codomain.squared_norm(wrong).sum()) * scale**2
            sums["held_out_data2"] = float(codomain.squared_norm(y).sum()) * scale**2
    return sums


class History:
    """Observes objective and residual at every so many iterations, and at the last.

    Attributes
    ----------
    rows : quantities of each noted iteration; those of an earlier attempt are read back from `path`.
    """

    def __init__(self, solver: Solver, every: int, path: Path) -> None:
        self.solver = solver
        self.every = every
        self.path = path
        self.rows: dict[int, dict[str, float]] = {}
        if path.exists():
            self.rows = {int(iteration): row for iteration, row in json.loads(path.read_text()).items()}
        self.final: int | None = None

    def __call__(self, problem: Problem, state: State) -> None:
        """Note the quantities of this iteration if it is one of those."""
        if state.iteration % self.every == 0:
            self._note(problem, state)

    def last(self, problem: Problem, state: State) -> None:
        """Note those of the last iteration."""
        self.final = state.iteration
        if state.iteration not in self.rows:
            self._note(problem, state)

    def save(self) -> None:
        """Keep what was noted for an attempt that goes on from here."""
        write_atomically(self.path, json.dumps(self.rows))

    def _note(self, problem: Problem, state: State) -> None:
        with torch.no_grad():
            predicted = problem.operator(state.x)
            self.rows[state.iteration] = {
                "objective": float(self.solver.objective(problem, state.x, predicted).sum()),
                "residual": float(problem.residual(state.x, predicted).max()),
            }


class Checkpoints:
    """Observes the clock: saves the state of a long block, and stops it when the run is interrupted."""

    def __init__(self, path: Path, history: History, every: float, interrupted: Callable[[], bool]) -> None:
        self.path = path
        self.history = history
        self.every = every
        self.interrupted = interrupted
        self.saved = time.monotonic()
        self.stopped = False

    def __call__(self, problem: Problem, state: State) -> bool | None:
        """Save if it is time; False stops the loop."""
        if self.interrupted():
            self.stopped = True
            return False
        if time.monotonic() - self.saved >= self.every:
            self.save(state)
        return None

    def save(self, state: State) -> None:
        """Save the history, then the state that it belongs to."""
        self.history.save()
        save_state(state, self.path)
        self.saved = time.monotonic()


def open_worker(
    output: Path, interrupted: Callable[[], bool] = lambda: False, resolved: Resolved | None = None
) -> Worker:
    """The worker of a run, from the record in its store.

    Parameters
    ----------
    resolved : the run's chain, where this process has it; else it is built.
    """
    record = stores.read_attributes(output)
    recipe = record["recipe"]
    compute = ComputeSettings.model_validate(recipe["compute"])
    if resolved is None:
        resolved = resolve(build_chain(record["builder"], recipe), rewrite=compute.rewrite)
    return Worker(
        output=output,
        resolved=resolved,
        plan=Plan.from_json(record["plan"]),
        compute=compute,
        history=OutputSettings.model_validate(recipe["output"]).history,
        device=torch.device(record["device"]),
        scalars=record.get("scalars", {}),
        interrupted=interrupted,
    )
