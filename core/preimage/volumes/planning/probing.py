"""The probe: one block, begun in a process of its own, tells what a block really needs and how long it takes.

What methods declare of their memory is a model. A process of its own is asked because memory that a process once held
is not seen to be given back, and because what libraries take when they are loaded is counted too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from preimage.errors import RunError
from preimage.run_settings import ComputeSettings, OutputSettings
from preimage.solving import State, load_state, save_state
from preimage.solving.state import hollow
from preimage.volumes.devices import choose_device
from preimage.volumes.engines.environment import worker_environment
from preimage.volumes.memory import held, peak
from preimage.volumes.planning.plan import Plan, within
from preimage.volumes.resolve import resolve
from preimage.volumes.tasks.fitting import fitted_now
from preimage.volumes.tasks.misfits import misfits
from preimage.volumes.tasks.sharing import shared_block
from preimage.volumes.tasks.worker import Worker, build_chain

STEPS = 3
"""Iterations after which no more memory is expected to be taken."""


@dataclass(frozen=True)
class Probe:
    """What a block was seen to need.

    Attributes
    ----------
    process : bytes of a worker's process before its first block.
    block : bytes that a block of the stage took beside that.
    before, step : seconds until the first iteration, and of one; where blocks agree, seconds around a round, and in it.
    """

    process: int
    block: int
    before: float
    step: float


def probe(builder: str, recipe: Mapping[str, Any], plan: Plan) -> Probe:
    """Begin the first block of the solve in another process, and see what it takes.

    Raises
    ------
    RunError : it failed; the message says how.
    """
    asked = json.dumps({"builder": builder, "recipe": dict(recipe), "plan": plan.to_json()})
    done = subprocess.run(
        [sys.executable, "-m", "preimage.volumes.planning.probing"],
        input=asked,
        capture_output=True,
        text=True,
        env=worker_environment(plan.threads),
        check=False,
    )
    if done.returncode:
        last = [line.strip() for line in done.stderr.splitlines() if line.strip()][-1:]
        raise RunError(f"the probe of one block ended with code {done.returncode}: {' '.join(last)}")
    return Probe(**json.loads(done.stdout.splitlines()[-1]))


def _measure(builder: str, recipe: Mapping[str, Any], plan: Plan) -> Probe:
    compute = ComputeSettings.model_validate(recipe["compute"])
    output = OutputSettings.model_validate(recipe["output"])
    torch.set_num_threads(plan.threads)
    resolved = resolve(build_chain(builder, recipe), rewrite=compute.rewrite)
    worker = _Unstored(
        output.path, resolved, plan, compute, output.history, torch.device(choose_device(compute.device))
    )
    stage = len(plan.stages) - 1
    region = plan.solve.region(0)
    process = held()
    started = time.perf_counter()
    for index in range(plan.solve.first, plan.solve.last):
        worker.fitted_here[index] = fitted_now(worker, stage, index)
    dataset, solved = worker.prepared(stage, region)
    shared = shared_block(worker, stage, region) if plan.solve.overlap else None
    problem = shared.share if shared else worker.problem(region, dataset)
    solver = worker.solver
    with torch.no_grad():
        state = solver.start(problem)
        before = time.perf_counter() - started
        for _ in range(STEPS):
            if state.iteration < solver.stop.max_iter:
                state = solver.step(problem, state)
        step = (time.perf_counter() - started - before) / max(1, state.iteration)
        solver.objective(problem, state.x, problem.operator(state.x))
        if shared:
            before += _kept(state)
            misfits(worker, dataset, shared.own, state.x[shared.at(region)], {})
        else:
            misfits(worker, dataset, problem, state.x, within(solved, region))
        estimate = state.x * worker.scale  # as it would be stored
        del estimate
    return Probe(process, peak() - process, before, step)


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

    def fitted(self, index: int) -> xr.Dataset:
        return self.fitted_here.get(index, xr.Dataset())

    def stage_input(self, stage: int) -> xr.Dataset:
        dataset = self.resolved.source
        for element in self.resolved.elements[: self.plan.stages[stage].first]:
            dataset = element.preparation.describe(dataset)
        return dataset

    @property
    def scalars(self) -> Mapping[str, float]:
        return dict.fromkeys(self.plan.scalars, 1.0)


def main() -> None:
    """Read what to probe from standard input, and answer by a line."""
    asked = json.load(sys.stdin)
    found = _measure(asked["builder"], asked["recipe"], Plan.from_json(asked["plan"]))
    sys.stdout.write("\n" + json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main()
