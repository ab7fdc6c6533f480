"""What looks on while a block is solved: its history, by which it is seen to diverge, and what saves its state."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from preimage.errors import RequestError
from preimage.problem import Problem
from preimage.solving import Solver, State, check_finite, diverged, load_noted, save_state
from preimage.volumes.planning.plan import Region

if TYPE_CHECKING:
    from preimage.volumes.tasks.worker import Worker

TELL = 1.0
"""Seconds after which it is told how far a block is."""
QUANTITIES = ("objective", "residual")
HISTORY = "history"
"""The array of a run's store that has the histories of its blocks."""
HISTORY_DIMS = ("block", "iteration", "quantity")


def history_region(block: int) -> Region:
    """Where the history of a block is in that array."""
    return {"block": (block, block + 1)}


class History:
    """Observes objective and residual at every so many iterations, and at the last.

    Parameters
    ----------
    name : of the solver's method, for messages.

    Attributes
    ----------
    rows : quantities of each noted iteration; where a block goes on, also those of the earlier attempt.
    final : the last iteration, once it is there.
    """

    def __init__(self, name: str, solver: Solver, every: int) -> None:
        self.name = name
        self.solver = solver
        self.every = every
        self.rows: dict[int, dict[str, float]] = {}
        self.final: int | None = None

    @classmethod
    def of(cls, worker: Worker) -> Self:
        """That of a block of a run."""
        return cls(worker.resolved.chain.solver.name, worker.solver, worker.history)

    def __call__(self, problem: Problem, state: State) -> None:
        """Note the quantities of this iteration if it is one of those.

        Raises
        ------
        RunError : the solver diverges.
        """
        if state.iteration % self.every == 0 and state.iteration < self.solver.stop.max_iter:
            self._note(problem, state)

    def last(self, problem: Problem, state: State) -> Any:
        """Note those of the last iteration, and return the misfit.

        Raises
        ------
        RunError : the solver has diverged.
        """
        self.final = state.iteration
        self.check_finite(state)
        return self._note(problem, state)

    def _note(self, problem: Problem, state: State) -> Any:
        with torch.no_grad():
            predicted = problem.operator(state.x)
            objective = float(self.solver.objective(problem, state.x, predicted).sum())
            misfit = problem.misfit(state.x, predicted)  # last: fewer arrays as large as the data at once
            residual = float(problem.residual(state.x, misfit=misfit).max())
            if not math.isfinite(residual) and not _is_finite(problem, misfit):
                raise diverged(self.name, state, self.solver.stop)
            self.rows[state.iteration] = {"objective": objective, "residual": residual}
        return misfit

    def check_finite(self, state: State) -> None:
        """Refuse an estimate that is not finite."""
        check_finite(self.name, state, self.solver.stop)


class Iterations:
    """Observes how many iterations were taken, and tells it now and then."""

    def __init__(self, block: int, worker: Worker) -> None:
        self.block = block
        self.most = worker.solver.stop.max_iter
        self.tell = worker.tell
        self.told = -math.inf

    def __call__(self, problem: Problem, state: State) -> None:
        """Tell it if it is time."""
        now = time.monotonic()
        if now - self.told >= TELL:
            self.tell(self.block, state.iteration, self.most)
            self.told = now


def _is_finite(problem: Problem, misfit: Any) -> bool:
    """Whether A(x) differs from the data by something finite: a residual, relative to data that are 0, may not.

    Nor need the objective be, which some likelihoods and constraints have infinite by definition.
    """
    codomain: Any = problem.operator.codomain
    return bool(codomain.squared_norm(misfit).isfinite().all())


class Checkpoints:
    """Observes the clock: saves the state of a long block, and stops it when the run is interrupted.

    Parameters
    ----------
    path : where the state is saved, with the history so far.
    run : the run that it is of. A worker that outlives its driver may save when another run has the folder.

    Attributes
    ----------
    stopped : whether it has ended the loop.
    resumed_from : the iteration from which the block went on; None where it began anew.
    said : why a state that was there was dropped.
    """

    def __init__(self, path: Path, run: str, history: History, every: float, interrupted: Callable[[], bool]) -> None:
        self.path = path
        self.run = run
        self.history = history
        self.every = every
        self.interrupted = interrupted
        self.saved = time.monotonic()
        self.stopped = False
        self.resumed_from: int | None = None
        self.said: list[str] = []

    def __call__(self, problem: Problem, state: State) -> bool | None:
        """Save if it is time; False stops the loop."""
        if self.interrupted():
            self.stopped = True
            return False
        if time.monotonic() - self.saved >= self.every:
            self.save(state)
        return None

    def save(self, state: State) -> None:
        """Save the state and the history that belongs to it.

        Raises
        ------
        RunError : the solver diverges, and nothing can go on from there.
        """
        self.history.check_finite(state)
        save_state(state, self.path, {"run": self.run, "history": self.history.rows})
        self.saved = time.monotonic()

    def resume(self, problem: Problem) -> State:
        """The state that an earlier attempt saved, with its history; the solver's first where none is to be trusted."""
        with torch.no_grad():
            start = self.history.solver.start(problem)
        if not self.path.exists():
            return start
        try:
            state, notes = load_noted(start, self.path)
        except RequestError as error:
            return self._dropped(start, f"{error}")
        if notes.get("run") != self.run:
            return self._dropped(start, f"{self.path} is of another run")
        self.history.rows = {int(iteration): row for iteration, row in notes["history"].items()}
        self.resumed_from = state.iteration
        return state

    def _dropped(self, start: State, reason: str) -> State:
        self.path.unlink()
        self.said = [f"a block begins anew: {reason}"]
        return start
