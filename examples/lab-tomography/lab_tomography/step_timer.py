"""Times every step of every solver, and writes a table of them beside the result."""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import torch
from preimage import Problem, State, Stop, hookimpl


class Clock:
    """Seconds between ticks: by events on a GPU, which does not wait for them, else by the clock of the host."""

    def __init__(self) -> None:
        self.ticks: list[tuple[Any, Any]] = []

    def now(self, device: torch.device) -> Any:
        """A moment, on a device."""
        if device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(device))
        return event

    def take(self) -> list[float]:
        """The seconds of each interval so far, which are then forgotten."""
        ticks, self.ticks = self.ticks, []
        return [_between(start, end) for start, end in ticks]


class TimedSolver:
    """A solver whose steps are timed; all else is its own."""

    def __init__(self, solver: Any, clock: Clock) -> None:
        self.solver = solver
        self.clock = clock

    def __getattr__(self, name: str) -> Any:
        """What it has itself."""
        return getattr(self.solver, name)

    def with_stop(self, stop: Stop) -> TimedSolver:
        """A copy that ends elsewhere, timed by the same clock."""
        return TimedSolver(self.solver.with_stop(stop), self.clock)

    def step(self, problem: Problem, state: State) -> State:
        """One iteration, timed."""
        start = self.clock.now(problem.device)
        state = self.solver.step(problem, state)
        self.clock.ticks.append((start, self.clock.now(problem.device)))
        return state


CLOCK = Clock()
"""This process's; a process works on one block at a time."""
BLOCKS: list[dict[str, Any]] = []
"""A row for each block of this run that was solved."""


@hookimpl(wrapper=True)
def preimage_solver() -> Generator[None, Any, Any]:
    """Time the solver that is made, whichever it is."""
    return TimedSolver((yield), CLOCK)


@hookimpl
def preimage_run_started() -> None:
    """Begin a table."""
    BLOCKS.clear()
    CLOCK.take()


@hookimpl
def preimage_block_finished(block: Mapping[str, Any]) -> None:
    """Add a row."""
    steps = CLOCK.take()
    if "iterations" not in block:  # a block of preparations
        return
    row = {name: block[name] for name in ("block", "iterations", "seconds")}
    if steps:  # there are none where other processes do the blocks
        median, longest = statistics.median(steps), max(steps)
        row |= {"steps": len(steps), "median_step_ms": 1e3 * median, "longest_step_ms": 1e3 * longest}
    BLOCKS.append(row)


@hookimpl
def preimage_run_finished(record: Mapping[str, Any]) -> None:
    """Write the table beside the result, as <output>.steps.csv."""
    output = Path(record["recipe"]["output"]["path"])
    fields = ["block", "iterations", "seconds", "steps", "median_step_ms", "longest_step_ms"]
    with output.with_name(f"{output.name}.steps.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, fields)
        table.writeheader()
        table.writerows(BLOCKS)


def _between(start: Any, end: Any) -> float:
    if isinstance(start, float):
        return float(end - start)
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3
