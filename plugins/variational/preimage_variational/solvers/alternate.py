"""Taking turns between several unknowns: each is solved for in turn while the others are held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import xarray as xr
from pydantic import Field, PositiveInt, field_validator
from torch import Tensor

import preimage
from preimage import Memory, hookimpl
from preimage.errors import CapabilityError, RequestError
from preimage.movable import Movable
from preimage.nested import Nested
from preimage.operators import Multilinear
from preimage.parts import Part
from preimage.problem import Problem
from preimage.randomness import derive_seed
from preimage.solving import Needs, Solver, State, Stop, initial_estimate, unmet
from preimage.solving.needs import Given
from preimage.space import Blocks
from preimage.unknowns import told, unknowns_of
from preimage_variational.solvers.inner import largest_memory, solved, union

MANY = 1000


class Turn(preimage.Settings):
    """One unknown, and how it is solved for."""

    unknown: str
    """Its name."""
    solver: Annotated[Part, Nested("solver")]
    """A section with the `use` and the settings of a solver. It gets the operator that is left when the other unknowns
    are held, and the priors that are `on` this one."""


class Settings(preimage.Settings):
    """Whose turn it is, in which order, and how each unknown is solved for."""

    turns: Annotated[tuple[Turn, ...], Field(min_length=1)]
    """Sections [[solver.turns]], one for each unknown, such as unknown = "image" and solver = { use = "admm" }."""
    max_iter: PositiveInt = 20
    """Number of rounds at most; in each round every unknown has one turn, begun at what it was."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Stop when a round changes the unknowns together by less than this share of their norm; 0 never stops early."""

    @field_validator("turns")
    @classmethod
    def _one_each(cls, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
        names = [turn.unknown for turn in turns]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{twice.pop()} has several turns: one is enough, a round follows the other")
        return turns


class Alternate(Movable, Solver):
    """Minimises ℓ(A(x), y) + Σ R(x) over one unknown at a time, for an A that is linear in each: block coordinates.

    An iteration is a round. The objective falls with every turn whose solver lowers its own; the end depends on the
    start, since the whole is not convex. What is saved of a run is its last whole round. In a batch, solvers that take
    steps of 1/‖A‖ all take the shortest of them.

    Parameters
    ----------
    solvers : of the turns, by the names of the unknowns, in order.

    References
    ----------
    Grippo & Sciandrone, On the convergence of the block nonlinear Gauss–Seidel method under convex constraints, 2000.
    """

    couples = True  # step lengths are those of a block's own operators

    def __init__(self, solvers: Mapping[str, Solver], max_iter: int = 20, tolerance: float = 0.0) -> None:
        self.solvers = dict(solvers)
        self.stop = Stop(max_iter, tolerance)
        self.minimises = all(solver.minimises for solver in solvers.values())
        self.needs = Needs(
            operator=(Multilinear,),
            priors=range(MANY),
            likelihood=union(solver.needs.likelihood for solver in solvers.values()),
        )

    def check_unknowns(self, unknowns: Sequence[str], on: Sequence[str | None]) -> None:
        """Every unknown has a turn, and every prior is of one of them."""
        turns = ", ".join(self.solvers)
        if set(unknowns) != set(self.solvers):
            raise RequestError(f"alternate takes turns between {turns}: {told(unknowns)}")
        for number, name in enumerate(on, 1):
            if name is None:
                raise RequestError(f'prior {number} is on all unknowns: with alternate say on = "...", one of {turns}')
        for name, solver in self.solvers.items():
            solver.check_unknowns((), (None,) * list(on).count(name))

    def inside(self, given: Given) -> Mapping[tuple[str | int, ...], tuple[Solver, Given]]:
        """Those of the turns, each with the operator of its unknown and the priors on that."""
        turns = set(self.solvers)
        if set(given.unknowns) != turns or not turns.issuperset(given.on.values()):
            return {}
        return {("turns", i, "solver"): (self.solvers[name], given.of(name)) for i, name in enumerate(self.solvers)}

    def start(self, problem: Problem, x0: Any = None) -> State:
        """From x0 or the operator's initial estimate.

        Raises
        ------
        RequestError : an unknown has no turn, there is a turn of none, or a prior is of all.
        CapabilityError : a turn's solver needs what its operator or its priors do not offer.
        """
        self.check_unknowns(unknowns_of(problem.domain), problem.on)
        state = State(x=initial_estimate(problem, x0))
        for name, solver in self.solvers.items():
            turn = self._turn(problem, name, state.x)
            if lacks := unmet(solver.needs, turn.operator, turn.priors, turn.likelihood):
                raise CapabilityError(f"alternate: {type(solver).__name__} cannot solve for {name}: {'; '.join(lacks)}")
        return state

    def step(self, problem: Problem, state: State) -> State:
        """A turn for every unknown."""
        x = state.x
        for name, solver in self.solvers.items():
            turn = self._turn(problem, name, x, state.iteration)
            x = Blocks({**x, name: solved(solver, turn, x[name]).x})
        return State(x=x, iteration=state.iteration + 1)

    def objective(self, problem: Problem, x: Any, predicted: Any = None) -> Tensor:
        """The problem's, and what the solvers of the turns add to theirs, such as damping."""
        predicted = problem.operator(x) if predicted is None else predicted
        total = problem.objective(x, predicted)
        for name, solver in self.solvers.items():
            turn = self._turn(problem, name, x)
            total = total + solver.objective(turn, x[name], predicted) - turn.objective(x[name], predicted)
        return total

    def _turn(self, problem: Problem, name: str, x: Any, iteration: int = 0) -> Problem:
        """The problem of one unknown. Numbers of the run are of the operator of all unknowns: it has none of them."""
        own = [prior for prior, on in zip(problem.priors, problem.on, strict=True) if on == name]
        return replace(
            problem,
            operator=problem.operator.fix(**{other: part for other, part in x.items() if other != name}),
            priors=tuple(own),
            on=(),
            scalars={},
            seed=derive_seed(problem.seed, name, iteration),
        )


@hookimpl
def preimage_solver(settings: Settings) -> Alternate:
    """The solver."""
    solvers = {turn.unknown: turn.solver.make() for turn in settings.turns}
    return Alternate(solvers, settings.max_iter, settings.tolerance)


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """All unknowns, once more where the loop compares two rounds, and what the hungriest of the solvers needs."""
    kept = Memory(per_image=1 + (settings.tolerance > 0))
    return largest_memory([turn.solver for turn in settings.turns], dataset) + kept


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Problem]]:
    """Damped in the solvers of both unknowns, and with a prior on each."""
    from preimage.testing import bound
    from preimage_variational.examples import two_factors
    from preimage_variational.priors.tikhonov import Tikhonov
    from preimage_variational.solvers import conjugate_gradient, gradient_descent

    problem = two_factors()
    damped = bound("solver", conjugate_gradient, damping=0.02, max_iter=3)
    yield Settings(turns=(Turn(unknown="kernel", solver=damped), Turn(unknown="image", solver=damped))), problem
    steps = bound("solver", gradient_descent, rule="line-search", max_iter=3)
    turns = (Turn(unknown="image", solver=steps), Turn(unknown="kernel", solver=steps))
    yield Settings(turns=turns), replace(problem, priors=(Tikhonov(0.02), Tikhonov(0.01)), on=("kernel", "image"))
