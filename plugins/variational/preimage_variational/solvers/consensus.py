"""Consensus ADMM: a prior that couples blocks, such as 3D total variation, on a volume larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
import xarray as xr
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

import preimage
from preimage import Memory, Scalar, hookimpl
from preimage.errors import RequestError
from preimage.movable import Movable
from preimage.nested import Nested
from preimage.operators import LinearOperator
from preimage.parts import Part
from preimage.priors import Composite, Proximable
from preimage.problem import Problem
from preimage.solving import Solver, State, Stop, initial_estimate, lipschitz, solve, unmet
from preimage.solving.exchange import ExchangeState
from preimage.solving.needs import Given
from preimage_variational.solvers.terms import run_norm


class Settings(preimage.Settings):
    """How blocks are solved, how strongly they are held together, and how often they meet."""

    solver: Annotated[Part, Nested("solver")]
    """A section [solver.solver] with `use` and settings: what solves a block, pdhg or admm. Its max_iter is for one
    round, after which it goes on from where it was; 10 to 30 are good."""
    max_iter: PositiveInt = 200
    """Rounds at most. Each reads the data of all blocks."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Stop when a round changes the whole volume by less than this share; 0 never stops early."""
    rho: PositiveFloat = 0.3
    """How strongly copies of a pixel are held together, in units of ‖A‖². It converges with any; 1 is good where all is
    measured and weights are large, 0.1 where little is measured and they are small."""


@dataclass(kw_only=True)
class ConsensusState(ExchangeState):
    """The state of a block.

    Attributes
    ----------
    multiplier : by how much its copies were off, summed over the rounds.
    inner : the state of the solver of a block.
    """

    multiplier: Tensor
    inner: State


class Closeness(Movable):
    """Σ ½ weight |x − centre|², with a weight of its own for every pixel."""

    def __init__(self, centre: Tensor, weight: Tensor) -> None:
        self.centre = centre
        self.weight = weight

    def value(self, x: Tensor) -> Tensor:
        """Σ ½ weight |x − centre|²."""
        energy: Tensor = self.weight * (x - self.centre).abs().square()
        return energy.sum() / 2

    def prox(self, x: Tensor, step: Any) -> Tensor:
        """Nearer to the centre."""
        return x + (self.centre - x) * self._share(step)

    def prox_(self, x: Tensor, step: Any) -> Tensor:
        """The same, written over x. Records no gradient."""
        return x.add_((self.centre - x).mul_(self._share(step)))

    def _share(self, step: Any) -> Tensor:
        """Of the way to the centre."""
        strength: Tensor = step * self.weight
        return strength / (1 + strength)


class Consensus(Solver):
    """Minimises Σ ℓ + Σ R of blocks that overlap, subject to their copies of a pixel being equal.

    In a round every block solves its share with its copies drawn to their mean over all blocks, less a multiplier, by
    some iterations of another solver, which goes on from round to round.

    References
    ----------
    Boyd, Parikh, Chu, Peleato & Eckstein, Distributed optimization and statistical learning via the alternating
    direction method of multipliers, 2011, §7.2 (general form consensus).

    Parameters
    ----------
    solver : of a block.
    rho : how strongly copies are held together, in units of ‖A‖².

    Raises
    ------
    RequestError : the solver does not take what a block has to be solved for.
    """

    couples = True

    def __init__(self, solver: Solver, max_iter: int = 200, tolerance: float = 0.0, *, rho: float = 0.3) -> None:
        priors = solver.needs.priors
        wanted = replace(solver.needs, likelihood=())
        if lacks := unmet(wanted, LinearOperator, (Composite, *[Proximable] * max(1, priors.start - 1)), None):
            raise RequestError(
                f"consensus: {type(solver).__name__} cannot solve blocks, of a linear operator with priors g(K x) and "
                f"one by which copies are held together: {'; '.join(lacks)}. Take pdhg or admm"
            )
        self.solver = solver
        self.rho = rho
        self.stop = Stop(max_iter, tolerance)
        self.minimises = solver.minimises
        self.needs = replace(solver.needs, priors=range(max(0, priors.start - 1), priors.stop - 1))

    def check_unknowns(self, unknowns: Sequence[str], on: Sequence[str | None]) -> None:
        """Blocks agree on one unknown."""
        if unknowns:
            raise RequestError(f"consensus is for one unknown, and there are {', '.join(unknowns)}: take pdhg or admm")

    def inside(self, given: Given) -> Mapping[tuple[str | int, ...], tuple[Solver, Given]]:
        """That of a block, with one prior more, by which copies are held together."""
        held = max(given.priors, default=0) + 1
        shares = replace(given, priors={**given.priors, held: Closeness}, on={**given.on, held: None})
        return {("solver",): (self.solver, shares)}

    def start(self, problem: Problem, x0: Any = None) -> ConsensusState:
        """From x0 or zero, with multipliers of 0."""
        x = initial_estimate(problem, x0)
        inner = self.solver.start(self._held(problem, x, torch.zeros_like(x.real)), x)
        return ConsensusState(x=inner.x, offer=x, multiplier=torch.zeros_like(x), inner=inner)

    def step(self, problem: Problem, state: State) -> ConsensusState:
        """A round without neighbours."""
        assert isinstance(state, ConsensusState)
        return self.meet(problem, state, state.x, torch.ones_like(state.x.real))

    def meet(self, problem: Problem, state: ExchangeState, agreed: Tensor, copies: Tensor) -> ConsensusState:
        """Add to multipliers by how much copies are off, and solve the share with them drawn to the mean."""
        assert isinstance(state, ConsensusState)
        shared = (copies > 1).to(copies.dtype)
        multiplier = state.multiplier + shared * (state.x - agreed)
        weight = shared * (self.rho * (lipschitz(problem) or 1.0))  # nothing measured: any will do
        inner = self._solved(self._held(problem, agreed - multiplier, weight), state.inner)
        return ConsensusState(
            x=inner.x,
            iteration=state.iteration + 1,
            offer=inner.x + multiplier,
            multiplier=multiplier,
            inner=inner,
        )

    def objective(self, problem: Problem, x: Any, predicted: Any = None) -> Tensor:
        """That of the solver of a block."""
        return self.solver.objective(problem, x, predicted)

    def _held(self, problem: Problem, centre: Tensor, weight: Tensor) -> Problem:
        """A block's share, with its copies drawn to a centre."""
        return replace(problem, priors=(*problem.priors, Closeness(centre, weight)), on=(*problem.on, None))

    def _solved(self, problem: Problem, state: State) -> State:
        """As many iterations of the solver as it takes in a round; with gradients on a tolerance ends nothing early."""
        stop = replace(self.solver.stop, max_iter=state.iteration + self.solver.stop.max_iter)
        state = replace(state, done=None)  # for another problem
        if not torch.is_grad_enabled():
            return solve(self.solver, problem, stop, state=state)
        while state.iteration < stop.max_iter:
            state = self.solver.step(problem, state)
        return state


@hookimpl
def preimage_solver(settings: Settings) -> Consensus:
    """The solver."""
    return Consensus(settings.solver.make(), settings.max_iter, settings.tolerance, rho=settings.rho)


@hookimpl
def preimage_scalars(settings: Settings) -> Mapping[str, Scalar]:
    """Those of the solver of a block, and the largest norm, so that all hold their copies as strongly."""
    return {"norm": Scalar(run_norm, "max"), **(settings.solver.ask("preimage_scalars") or {})}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """What the solver of a block needs, what is exchanged before and after a round, and copies of Kx cut to the block.

    Measured, with total variation along three dims: up to 26 images in all with pdhg, and 26 with admm.
    """
    inner = settings.solver.ask("preimage_memory", dataset=dataset) or Memory()
    return inner + Memory(per_image=14)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Problem]]:
    """Without neighbours it does what the solver of a block does."""
    from preimage.testing import bound
    from preimage_variational.examples import least_squares, problems, with_prior
    from preimage_variational.priors.tikhonov import Tikhonov
    from preimage_variational.solvers import pdhg

    inner = bound("solver", pdhg, max_iter=5)
    for problem in problems():
        yield Settings(solver=inner, max_iter=60), with_prior(problem, Tikhonov(0.3), least_squares(problem, 0.3))
