"""The probe: a block of every stage, done in a process of its own, tells what it really needs and how long it takes.

What methods declare of their memory is a model. Processes of their own are asked because memory that a process once
held is not seen to be given back, and because what libraries take when they are loaded is counted too.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import dask.config
import numpy as np
import torch
import xarray as xr

from preimage.errors import RunError
from preimage.run_settings import ComputeSettings, OutputSettings
from preimage.solving import State, load_state, save_state
from preimage.solving.state import hollow
from preimage.volumes import stores
from preimage.volumes.creating import create_scratch
from preimage.volumes.devices import choose_device, peak_of
from preimage.volumes.engines.environment import worker_environment
from preimage.volumes.memory import forget_peak, held, peak, release_heap
from preimage.volumes.planning.memory_model import Model, settled_factor, settled_process
from preimage.volumes.planning.plan import ArrayPlan, Plan, Region, slices, within
from preimage.volumes.resolve import resolve
from preimage.volumes.tasks.block import judge, store_block
from preimage.volumes.tasks.fitting import fitted_now
from preimage.volumes.tasks.guards import few_chunks_at_once
from preimage.volumes.tasks.misfits import misfits
from preimage.volumes.tasks.numbers import numbers_of_block
from preimage.volumes.tasks.observing import History
from preimage.volumes.tasks.sharing import shared_block
from preimage.volumes.tasks.worker import Worker, build_chain

STEPS = 3
"""Iterations after which no more memory is expected to be taken."""
SURE = 2.0
"""A stage that would fit if its blocks needed so many times what is declared is not worth a probe.

Of the memory a plan relies on 0.75, so that even 2.6 times would be within what the worker may use. It is this that
decides about a volume that fits as a whole: to begin one costs a few iterations of it.
"""


@dataclass(frozen=True)
class Probe:
    """What a block was seen to need.

    Attributes
    ----------
    process : bytes of a worker's process before its first block.
    block : bytes that a block of the stage took beside that.
    device : bytes that it took of an accelerator.
    n_blocks : how many there are of its kind.
    before, step : seconds until the first iteration, and of one; where blocks agree, seconds around a round, and in it.
        A stage that does not solve takes all of them before.
    seconds : of all that is done for the block: to reduce it to the numbers of the run, and to do it, with as many
        iterations or rounds as there may be.
    """

    process: int
    block: int
    device: int
    n_blocks: int
    before: float
    step: float
    seconds: float


def probe(builder: str, recipe: Mapping[str, Any], plan: Plan, stages: Iterable[int]) -> dict[int, Probe]:
    """Do a block of each of these stages in a process of its own, and see what it takes; of the solve, begin one.

    It is the block that needs most. Nothing is left of it.

    Raises
    ------
    RunError : it failed; the message says how.
    """
    return {i: Probe(**_asked(builder, recipe, plan.threads, plan=plan.to_json(), stage=i)) for i in stages}


def probe_process(builder: str, recipe: Mapping[str, Any], threads: int) -> int:
    """See how many bytes a worker's process takes before its first block.

    Raises
    ------
    RunError : it failed; the message says how.
    """
    return int(_asked(builder, recipe, threads)["process"])


def worth_probing(plan: Plan, compute: ComputeSettings) -> tuple[int, ...]:
    """The stages of a plan about which memory decides, so that what their blocks really need matters."""
    model = Model(plan.process, device=plan.device_memory)
    return tuple(
        i
        for i, stage in enumerate(plan.stages)
        if SURE * stage.memory > model.budget(compute) or SURE * stage.device_memory > model.device_budget
        if not (stage.solves and compute.blocks)
    )


def measured_model(plan: Plan, compute: ComputeSettings, found: Mapping[int, Probe]) -> Model:
    """What a worker needs, by the probe of a plan that was made of what is declared.

    It is rounded, so that probes of the same run come to the same plan: see `settled_factor` for what that promises.
    Of a stage that would fit by far either way what is declared is kept: what libraries take at first is then most.
    """
    model = Model(settled_process(max(one.process for one in found.values())), device=plan.device_memory)
    factors, device_factors = {}, {}
    for i, one in found.items():
        stage = plan.stages[i]
        if SURE * max(one.block, stage.memory) > model.budget(compute):
            factors[stage.steps] = settled_factor(one.block, stage.memory)
        if SURE * max(one.device, stage.device_memory) > model.device_budget and one.device:
            device_factors[stage.steps] = settled_factor(one.device, stage.device_memory)
    return replace(model, factors=factors, device_factors=device_factors)


def _asked(builder: str, recipe: Mapping[str, Any], threads: int, **what: Any) -> dict[str, Any]:
    """What a process of its own found."""
    done = subprocess.run(
        [sys.executable, "-m", "preimage.volumes.planning.probing"],
        input=json.dumps({"builder": builder, "recipe": dict(recipe), **what}),
        capture_output=True,
        text=True,
        env=worker_environment(threads),
        check=False,
    )
    if done.returncode:
        last = [line.strip() for line in done.stderr.splitlines() if line.strip()][-1:]
        raise RunError(f"the probe of one block ended with code {done.returncode}: {' '.join(last)}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measure(worker: _Unstored, index: int) -> Probe:
    """Do what a worker does for a block: fit, reduce to numbers, prepare, solve."""
    stage = worker.plan.stages[index]
    torch.empty(1, device=worker.device)  # what an accelerator takes of the process at first is none of the block's
    process = held()
    for element in range(stage.first, stage.last):
        worker.fitted_here[element] = fitted_now(worker, index, element)
    worker.hand_over(index)
    started = time.perf_counter()
    if stage.solves and worker.plan.scalars:
        numbers_of_block(worker, index, stage.largest)
    numbers = time.perf_counter() - started
    before, step = _begun(worker, index) if stage.solves else _stored(worker, index)
    steps = worker.solver.stop.max_iter
    begun = steps if stage.overlap else 1  # in every round anew
    seconds = numbers + before * begun + step * steps
    return Probe(process, peak() - process, peak_of(worker.device), stage.n_blocks, before, step, seconds)


def _stored(worker: _Unstored, index: int) -> tuple[float, float]:
    """Prepare a block and store it; return the seconds that it takes, and of an iteration, 0."""
    started = time.perf_counter()
    stage = worker.plan.stages[index]
    create_scratch(worker.output, worker.plan, index)
    store_block(worker, index, stage.largest, stage.region(stage.largest))
    return time.perf_counter() - started, 0.0


def _begun(worker: _Unstored, index: int) -> tuple[float, float]:
    """Begin to solve a block; return the seconds before the first iteration, and of one."""
    stage, solver = worker.plan.stages[index], worker.solver
    region = stage.region(stage.largest)
    started = time.perf_counter()
    dataset, solved = worker.prepared(index, region)
    shared = shared_block(worker, index, region) if stage.overlap else None
    problem = shared.share if shared else worker.problem(region, dataset)
    with torch.no_grad():
        state = solver.start(problem)
        before = time.perf_counter() - started
        for _ in range(STEPS):
            if state.iteration < solver.stop.max_iter:
                state = solver.step(problem, state)
        step = (time.perf_counter() - started - before) / max(1, state.iteration)
        if shared:
            before += _kept(state)
            History.of(worker).last(problem, state)
            misfits(worker, dataset, shared.own, state.x[shared.at(region)], {})
        else:
            judge(worker, dataset, problem, state, History.of(worker), within(solved, region))
        estimate = state.x * worker.scale  # as it would be stored
        del estimate
    return before, step


def _kept(state: State) -> float:
    """Keep what a block found in a round, as it is between rounds, and return the seconds that this takes."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        save_state(state, Path(folder) / "state")
        load_state(hollow(state), Path(folder) / "state")
    return time.perf_counter() - started


class _Unstored(Worker):
    """The worker of a run that has no store yet: what is not there is zero, and the numbers of the run are 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.fitted_here: dict[int, xr.Dataset] = {}
        self.handed_over = False

    def fitted(self, index: int) -> xr.Dataset:
        return self.fitted_here.get(index, xr.Dataset())

    def stage_input(self, stage: int) -> xr.Dataset:
        """What is read: zeros without memory, and once they are handed over such as a block finds in a store."""
        if self.handed_over:
            return super().stage_input(stage)
        dataset = self.resolved.source
        for element in self.resolved.elements[: self.plan.stages[stage].first]:
            dataset = element.preparation.describe(dataset)
        return dataset

    def hand_over(self, index: int) -> None:
        """Store zeros where earlier stages store what the block of a stage reads: to read it takes memory, too.

        They are written unit by unit, and what this took is not the block's.
        """
        stage = self.plan.stages[index]
        read = stage.widened(stage.overlapping(stage.region(stage.largest)), stage.halo)
        for earlier in range(index):
            create_scratch(self.output, self.plan, earlier)
            for name, array in self.plan.stages[earlier].outputs.items():
                target = stores.open_for_writing(self.beside.scratch(earlier), name)
                for unit in units(array, read):
                    target[unit] = np.zeros([part.stop - part.start for part in unit], array.dtype)
        self.handed_over = True
        release_heap()
        forget_peak()

    def check_ours(self) -> None:
        pass

    @property
    def scalars(self) -> Mapping[str, float]:
        return dict.fromkeys(self.plan.scalars, 1.0)


def units(array: ArrayPlan, region: Region) -> Iterator[tuple[slice, ...]]:
    """Yield the parts of a region that lie in one write unit each."""
    bounds = slices(region, array.dims)
    along = []
    for dim, n, length in zip(array.dims, array.shape, array.write_unit, strict=True):
        start, stop, _ = bounds.get(dim, slice(None)).indices(n)
        edges = range(start // length * length, stop, length)
        along.append([slice(max(start, edge), min(stop, edge + length)) for edge in edges])
    yield from itertools.product(*along)


def main() -> None:
    """Read what to probe from standard input, and answer by a line."""
    asked = json.load(sys.stdin)
    compute = ComputeSettings.model_validate(asked["recipe"]["compute"])
    torch.set_num_threads(compute.threads)
    resolved = resolve(build_chain(asked["builder"], asked["recipe"]), rewrite=compute.rewrite)
    if "plan" in asked:
        plan, device = Plan.from_json(asked["plan"]), choose_device(compute.device)
        if plan.device_memory and device.type == "cpu":
            raise RunError("the workers' GPU is not on this machine")
        with (
            tempfile.TemporaryDirectory() as folder,
            dask.config.set(scheduler="synchronous"),
            few_chunks_at_once(compute.threads),
        ):
            worker = _Unstored(
                output=Path(folder) / "probe.zarr",
                resolved=resolved,
                plan=plan,
                compute=compute,
                history=OutputSettings.model_validate(asked["recipe"]["output"]).history,
                device=device,
            )
            found = asdict(_measure(worker, asked["stage"]))
    else:
        found = {"process": held()}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
