"""A sequence of solvers: each goes on from where the one before it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
import xarray as xr
from pydantic import Field
from torch import Tensor

import preimage
from preimage import Memory, Scalar, hookimpl
from preimage.errors import RequestError
from preimage.movable import Movable
from preimage.nested import Nested
from preimage.parts import Part
from preimage.problem import Problem
from preimage.solving import Needs, Solver, State, Stop
from preimage.solving.needs import Given
from preimage.solving.state import hollow
from preimage.space import AnySpace
from preimage_variational.solvers.inner import largest_memory, stepped, union


class Settings(preimage.Settings):
    """Which solvers, in which order; each with its own settings and its own end."""

    solvers: Annotated[tuple[Annotated[Part, Nested("solver")], ...], Field(min_length=1)]
    """Sections [[solver.solvers]], each with `use` and settings. One that takes no prior, such as conjugate-gradient,
    is given none if one that takes some comes after it: it makes the start for that one."""


@dataclass(kw_only=True)
class SequenceState(State):
    """The state of a sequence.

    Attributes
    ----------
    current : which solver is at work.
    inner : the states of all; those of solvers that are not at work hold no memory.
    """

    current: int
    inner: tuple[State, ...]


class SolverSequence(Movable, Solver):
    """One solver after the other on one problem, as if each were called with the result of the one before as x0.

    An iteration is one of the solver that is at work. With gradients on, tolerances do not end a solver early.

    Parameters
    ----------
    solvers : in order.

    Raises
    ------
    RequestError : there is no number of priors that suits all.
    """

    def __init__(self, solvers: Sequence[Solver]) -> None:
        self.solvers = tuple(solvers)
        last = self.solvers[-1]
        self.needs = _needs(self.solvers)
        self.stop = Stop(sum(solver.stop.max_iter for solver in self.solvers))
        self.couples = any(solver.couples for solver in self.solvers)
        self.minimises = last.minimises

    def check_unknowns(self, unknowns: Sequence[str], on: Sequence[str | None]) -> None:
        """What suits all of the solvers."""
        for solver in self.solvers:
            solver.check_unknowns(unknowns, on if _takes_priors(solver) else ())

    def inside(self, given: Given) -> Mapping[tuple[str | int, ...], tuple[Solver, Given]]:
        """All of them, without priors for one that takes none."""
        return {
            ("solvers", i): (solver, given if _takes_priors(solver) else given.without_priors())
            for i, solver in enumerate(self.solvers)
        }

    def start(self, problem: Problem, x0: Any = None) -> SequenceState:
        """The first solver's, and of the others what their states will be like."""
        first = self._started(problem, 0, x0)
        others = (hollow(self._started(problem, i, first.x)) for i in range(1, len(self.solvers)))
        return SequenceState(x=first.x, current=0, inner=(first, *others))

    def step(self, problem: Problem, state: State) -> SequenceState:
        """An iteration of the solver at work; of the next one, if that one is done."""
        assert isinstance(state, SequenceState)
        current, working = state.current, state.inner[state.current]
        if self._ended(current, working) and current + 1 < len(self.solvers):
            current += 1
            working = self._started(problem, current, state.x)
        if self._ended(current, working):  # the last one: there is nothing left to do
            return replace(state, iteration=state.iteration + 1, change=_numbers(problem, 0.0))
        working = stepped(self.solvers[current], self._problem(problem, current), working)
        over = current + 1 == len(self.solvers) and self._ended(current, working)
        return SequenceState(
            x=working.x,
            iteration=state.iteration + 1,
            change=working.change,
            done=torch.ones_like(_numbers(problem, 0.0), dtype=torch.bool) if over else None,
            current=current,
            inner=tuple(working if i == current else hollow(other) for i, other in enumerate(state.inner)),
        )

    def objective(self, problem: Problem, x: Any, predicted: Any = None) -> Tensor:
        """That of the last solver."""
        return self.solvers[-1].objective(problem, x, predicted)

    def result_space(self, problem: Problem) -> AnySpace:
        """That of the last solver."""
        return self.solvers[-1].result_space(problem)

    def _started(self, problem: Problem, index: int, x: Any) -> State:
        """The state of a solver that begins at x; with numbers from the start where others are compared with them."""
        solver = self.solvers[index]
        state = solver.start(self._problem(problem, index), x)
        state.change = _numbers(problem, torch.inf) if state.change is None else state.change
        if solver.stop.tolerance > 0:
            state.done = torch.zeros_like(_numbers(problem, 0.0), dtype=torch.bool)
        return state

    def _ended(self, index: int, state: State) -> bool:
        arrived = state.done is not None and bool(state.done.all())
        return arrived or state.iteration >= self.solvers[index].stop.max_iter

    def _problem(self, problem: Problem, index: int) -> Problem:
        """Without priors for a solver that takes none."""
        return problem if _takes_priors(self.solvers[index]) else replace(problem, priors=(), on=())


def _takes_priors(solver: Solver) -> bool:
    return max(solver.needs.priors, default=0) > 0


def _needs(solvers: Sequence[Solver]) -> Needs:
    """What all of them need together; of priors what those need that take some."""
    if not _takes_priors(solvers[-1]) and any(map(_takes_priors, solvers)):
        raise RequestError(
            f"sequence: {type(solvers[-1]).__name__} takes no prior, and would undo what solvers before it made of "
            "theirs: let it come first"
        )
    with_priors = [solver for solver in solvers if _takes_priors(solver)] or list(solvers)
    ranges = [solver.needs.priors for solver in with_priors]
    priors = range(max(r.start for r in ranges), min(r.stop for r in ranges))
    if not priors:
        names = ", ".join(type(solver).__name__ for solver in with_priors)
        raise RequestError(f"sequence: there is no number of priors that suits all of {names}: leave out some")
    return Needs(
        operator=union(solver.needs.operator for solver in solvers),
        prior=union(solver.needs.prior for solver in with_priors),
        priors=priors,
        likelihood=union(solver.needs.likelihood for solver in solvers),
    )


def _numbers(problem: Problem, value: float) -> Tensor:
    """A number for each element of a batch, (*batch,)."""
    codomain: Any = problem.operator.codomain
    return torch.full_like(codomain.squared_norm(problem.y).reshape(problem.batch), value)


@hookimpl
def preimage_solver(settings: Settings) -> SolverSequence:
    """The solver."""
    return SolverSequence([part.make() for part in settings.solvers])


@hookimpl
def preimage_scalars(settings: Settings) -> Mapping[str, Scalar]:
    """Those of all solvers."""
    wanted: dict[str, Scalar] = {}
    for part in settings.solvers:
        wanted |= part.ask("preimage_scalars") or {}
    return wanted


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """What the hungriest of the solvers needs."""
    return largest_memory(settings.solvers, dataset)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Problem]]:
    """Without priors and with one, switching in the middle of what the laws look at."""
    from preimage.testing import bound
    from preimage_variational.examples import least_squares, problems, soft_threshold, solved, with_prior
    from preimage_variational.priors.tikhonov import Tikhonov
    from preimage_variational.solvers import conjugate_gradient, fista

    short, long = (bound("solver", conjugate_gradient, damping=0.3, max_iter=n) for n in (2, 60))
    for problem in problems():
        yield Settings(solvers=(short, long)), solved(problem, least_squares(problem, 0.3))
    start = bound("solver", conjugate_gradient, max_iter=1)
    ista = bound("solver", fista, momentum="none", max_iter=3)
    end = bound("solver", fista, max_iter=400)
    for problem in problems():
        yield Settings(solvers=(start, ista, end)), with_prior(problem, Tikhonov(0.3), least_squares(problem, 0.3))
    yield Settings(solvers=(ista, end)), soft_threshold(0.5)
