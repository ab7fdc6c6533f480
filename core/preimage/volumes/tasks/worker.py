"""What a process keeps between the tasks of a run, and how it does one.

All of it is rebuilt from the record in the run's store, by a builder given as a dotted name, so that a task
can be done in this process or in any other.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from preimage.chain import Chain
from preimage.data import located
from preimage.errors import PreimageError, RunError
from preimage.problem import Problem
from preimage.randomness import derive_seed
from preimage.record import described_parts, differing_parts
from preimage.run_settings import ComputeSettings, OutputSettings
from preimage.solving import Solver
from preimage.space import AnySpace
from preimage.volumes import stores
from preimage.volumes.markers import Beside, Stage
from preimage.volumes.memory import keep_heap, peak
from preimage.volumes.planning.plan import Plan, Region, slices
from preimage.volumes.resolve import Resolved, resolve
from preimage.volumes.tasks.block import solve_block, store_block
from preimage.volumes.tasks.fitting import fit
from preimage.volumes.tasks.guards import few_chunks_at_once
from preimage.volumes.tasks.numbers import numbers_of_block
from preimage.volumes.tasks.preparing import apply, cropped
from preimage.volumes.tasks.rounds import do_round
from preimage.volumes.tasks.task import Facts, Task, Tell, silent


def build_chain(builder: str, recipe: Mapping[str, Any]) -> Chain:
    """The chain of a recipe, by the builder's dotted name `module:function`.

    The name comes from the program that started the run, never from data or a run file.
    """
    module, _, function = builder.partition(":")
    return getattr(importlib.import_module(module), function)(recipe)  # type: ignore[no-any-return]


@dataclass
class Worker:
    """What one process keeps between the tasks of a run.

    Attributes
    ----------
    run : which run of that store it works for.
    shared : what parts keep that does not depend on the block.
    interrupted : asked after every iteration; when it says True the state is saved and the task ends.
    tell : told how far a block is.
    """

    output: Path
    resolved: Resolved
    plan: Plan
    compute: ComputeSettings
    history: int
    device: torch.device
    run: str = ""
    interrupted: Callable[[], bool] = lambda: False
    tell: Tell = silent
    shared: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the solver, once."""
        keep_heap()
        self.beside = Beside(self.output, self.run)
        self.solver: Solver = self.resolved.chain.make_solver()
        self._fitted: dict[int, xr.Dataset] = {}
        self._inputs: dict[int, xr.Dataset] = {}
        self._scalars: Mapping[str, float] = {}

    def do(self, task: Task) -> Facts:
        """Do a task, and return what is known of it; its marker, if it has one, is written last.

        Raises
        ------
        KeyboardInterrupt : it was interrupted, and what was in work is saved.
        """
        if self.interrupted():
            raise KeyboardInterrupt
        if (place := task.marker) and (known := self.beside.read(*place)):
            return known  # a worker that was given it before has gone on with it, though its driver was gone
        with few_chunks_at_once(self.compute.threads):
            return self._done(task)

    def _done(self, task: Task) -> Facts:
        started = time.perf_counter()
        facts: Facts = {"stage": task.stage, "block": task.index}
        match task.kind:
            case "fit":
                facts |= fit(self, task.stage, task.index)
            case "numbers":
                facts["numbers"] = numbers_of_block(self, task.stage, task.index)
            case "round":
                facts |= do_round(self, task.stage, task.index, task.number)
            case "block":
                region = self.plan.stages[task.stage].region(task.index)
                facts["region"] = region
                does = solve_block if self.plan.stages[task.stage].solves else store_block
                facts |= does(self, task.stage, task.index, region)
        seconds = facts.get("seconds", 0.0) + time.perf_counter() - started  # those of the rounds before, if any
        facts |= {"seconds": round(seconds, 4), "peak": peak()}
        if place := task.marker:
            if known := self.stored_meanwhile(*place):
                return known
            self.beside.mark(*place, facts)
        return facts

    def stored_meanwhile(self, stage: Stage, block: int) -> Facts | None:
        """What another attempt at a block has found that was first to store it: it may be read, and is left alone.

        Raises
        ------
        RunError : another run has taken over.
        """
        self.check_ours()
        return self.beside.read(stage, block)

    def check_ours(self) -> None:
        """Refuse to write into what another run has taken over: a worker may outlive its driver.

        Raises
        ------
        RunError : another run has.
        """
        check_run(self.output, self.run, stores.read_attributes(self.output))

    def prepared(self, stage: int, region: Region) -> tuple[xr.Dataset, Region]:
        """The dataset of a block after the stage's preparations.

        Returns
        -------
        dataset, region : the region that it covers, wider than the block's where the solve has a halo.
        """
        plan = self.plan.stages[stage]
        source = self.stage_input(stage)
        read = plan.widened(region, plan.halo)
        dataset = located(source, slices(read, source.dims), self.device)
        for index in range(plan.first, plan.last):
            dataset = apply(self.resolved.elements[index], dataset, self.fitted(index), read)
        solved = plan.widened(region, plan.solve_halo)
        return cropped(dataset, read, solved), solved

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
        """What a preparation fitted, in memory.

        Raises
        ------
        RunError : it is not fitted, or what it found is gone.
        """
        if index not in self._fitted:
            facts = self.beside.read("fits", index)
            path = stores.calibration(self.output, index)
            if facts is None or (facts["digests"] and not path.exists()):
                raise RunError(
                    f"what preparation {index} was fitted to is gone from {path}: run the same command again"
                )
            self._fitted[index] = stores.open_dataset(path).load() if facts["digests"] else xr.Dataset()
        return self._fitted[index]

    @property
    def scalars(self) -> Mapping[str, float]:
        """The numbers of the whole run, which the driver has reduced before the first block is solved."""
        if self.plan.scalars and not self._scalars:
            self._scalars = stores.read_attributes(self.output)["scalars"]
        return self._scalars

    @property
    def rounds(self) -> int:
        """How many rounds there were, once the driver has written it down."""
        return int(stores.read_attributes(self.output)["rounds"])

    @property
    def scale(self) -> float:
        """What the data are divided by."""
        return self.scalars["scale"] if self.plan.normalise else 1.0

    def problem(self, region: Region, dataset: xr.Dataset, *, with_priors: bool = True) -> Problem:
        """The problem of a block."""
        chain = self.resolved.chain
        return chain.make_problem(
            dataset,
            self.shared,
            scalars=self.scalars,
            normalise=self.plan.normalise,
            seed=block_seed(chain.seed, self.resolved.domain, region),
            with_priors=with_priors,
        )


def check_run(output: Path, run: str, record: Mapping[str, Any]) -> None:
    """Refuse a store that is of another run by now."""
    if record.get("run") != run:
        raise RunError(f"{output} was taken over by another run")


def block_seed(seed: int, domain: AnySpace, region: Region) -> int:
    """The key of a block's random numbers: the run's seed, and where the block begins."""
    return derive_seed(seed, "solve", *(region[dim][0] if dim in region else 0 for dim in domain.sizes))


def read_record(output: Path, run: str | None = None) -> dict[str, Any]:
    """The record of a run in its store.

    Raises
    ------
    RunError : the store is not here, or is of another run.
    """
    if not output.exists():
        raise RunError(f"{output} is not there on this worker: the run's folder must be on a disk that all workers see")
    record = stores.read_attributes(output)
    if run is not None:
        check_run(output, run, record)
    return record


def resolve_here(builder: str, record: Mapping[str, Any]) -> Resolved:
    """The chain of a run, built by this process.

    Raises
    ------
    RunError : what is installed here is not what it was planned with.
    """
    recipe = record["recipe"]
    try:
        resolved = resolve(
            build_chain(builder, recipe), rewrite=ComputeSettings.model_validate(recipe["compute"]).rewrite
        )
    except (ImportError, AttributeError, PreimageError) as error:
        raise RunError(
            f"a worker cannot make the parts of the run: {error}. "
            "Install the same methods everywhere, and have all workers see the same files"
        ) from error
    if differing := differing_parts(record["parts"], described_parts(resolved.parts)):
        raise RunError(
            "a worker has other methods installed than the run was planned with: "
            + "; ".join(differing)
            + ". Install the same versions everywhere"
        )
    return resolved


def open_worker(
    output: Path,
    builder: str,
    interrupted: Callable[[], bool] | None = None,
    resolved: Resolved | None = None,
    run: str | None = None,
) -> Worker:
    """The worker of a run, from the record in its store.

    Parameters
    ----------
    builder : dotted name of what makes the chain of its recipe.
    interrupted : see `Worker`; without, the driver's word beside the store is looked for.
    resolved : the run's chain, where this process has it; else it is built, and must be made of the same parts.
    run : which run of that store it must be.

    Raises
    ------
    RunError : the store is not here, is of another run, or what is installed here is not what it was planned with.
    """
    record = read_record(output, run)
    recipe = record["recipe"]
    beside = Beside(output)
    return Worker(
        output=output,
        resolved=resolved or resolve_here(builder, record),
        plan=Plan.of(record),
        compute=ComputeSettings.model_validate(recipe["compute"]),
        history=OutputSettings.model_validate(recipe["output"]).history,
        device=torch.device(record["device"]),
        run=record["run"],
        interrupted=interrupted or beside.asked_to_stop,
    )
