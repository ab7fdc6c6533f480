"""FISTA: least squares with one prior that has a prox, accelerated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import torch
import xarray as xr
from pydantic import Field, PositiveInt, model_validator

import preimage
from preimage import Memory, Scalar, hookimpl
from preimage.likelihoods import Gaussian
from preimage.offers import offers
from preimage.operators import LinearOperator
from preimage.priors import Proximable, owned_prox
from preimage.problem import Problem
from preimage.solving import Needs, Solver, State, Stop, initial_estimate, lipschitz
from preimage.space import Blocks, owned_add, owned_aypx


class Settings(preimage.Settings):
    """How long it iterates, and how it uses the iterations before."""

    max_iter: PositiveInt = 50
    """Number of iterations at most."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Stop when an iteration changes the image by less than this share of its norm; 0 never stops early."""
    momentum: Literal["fista", "none"] = "fista"
    """`fista` steps from a point ahead, which is much faster; `none` is plain proximal gradient descent (ISTA)."""
    restart: bool = False
    """Drop the momentum whenever it points uphill. Blocks then restart at different iterations, and agree at
    convergence only."""

    @model_validator(mode="after")
    def _restarts_something(self) -> Self:
        if self.restart and self.momentum == "none":
            raise ValueError("restart needs momentum: without there is nothing to restart")
        return self


@dataclass(kw_only=True)
class FistaState(State):
    """The state of FISTA.

    Attributes
    ----------
    ahead : where the next gradient is taken.
    data : Aᴴy, computed once.
    momentum : t of the paper; with restarts one for every element, (*batch, 1, …, 1).
    """

    ahead: Any
    data: Any
    momentum: Any


class Fista(Solver):
    """Minimises ½‖Ax − y‖² + R(x), for an R with a prox, by steps of 1/‖A‖²; one A and one Aᴴ an iteration.

    References
    ----------
    Beck & Teboulle, A fast iterative shrinkage-thresholding algorithm for linear inverse problems, 2009.
    O'Donoghue & Candès, Adaptive restart for accelerated gradient schemes, 2015. Without momentum: Daubechies,
    Defrise & De Mol, An iterative thresholding algorithm for linear inverse problems, 2004.
    """

    needs = Needs(operator=(LinearOperator,), prior=(Proximable,), priors=range(1, 2), likelihood=(Gaussian,))

    def __init__(
        self, max_iter: int = 50, tolerance: float = 0.0, *, accelerated: bool = True, restart: bool = False
    ) -> None:
        self.accelerated = accelerated
        self.restart = restart
        self.couples = restart  # whether it restarts is an inner product over the block
        self.stop = Stop(max_iter, tolerance)

    def start(self, problem: Problem, x0: Any = None) -> FistaState:
        """From x0 or zero."""
        assert isinstance(problem.operator, LinearOperator)
        data = problem.operator.adjoint(problem.y)  # first: it needs memory that the others then take
        x = initial_estimate(problem, x0)
        space: Any = problem.domain
        return FistaState(
            x=x,
            ahead=x.clone(),
            data=data,
            momentum=torch.ones_like(space.squared_norm(x)) if self.restart else 1.0,
        )

    def step(self, problem: Problem, state: State) -> FistaState:
        """A gradient step from the point ahead, the prox, and the next point ahead."""
        assert isinstance(state, FistaState)
        assert isinstance(problem.operator, LinearOperator)
        size = 1 / (lipschitz(problem) or 1.0)  # nothing measured: any step will do
        ahead = state.ahead.clone() if self.restart else state.ahead
        point = owned_add(problem.operator.add_normal(ahead, state.ahead, -size), state.data, size)
        x = _prox(problem, point, size)
        back = owned_add(state.x, x, -1)  # the last step, backwards
        momentum, share = self._momentum(state.momentum)
        if self.restart:
            space: Any = problem.domain
            uphill = space.inner(state.ahead - x, back).real < 0
            momentum, share = torch.where(uphill, 1, momentum), torch.where(uphill, 0, share)
        return FistaState(
            x=x,
            iteration=state.iteration + 1,
            ahead=owned_aypx(back, x, -share),
            data=state.data,
            momentum=momentum,
        )

    def _momentum(self, t: Any) -> tuple[Any, Any]:
        """The next t, and the share of the last step by which the next point is ahead."""
        if not self.accelerated:
            return t, 0.0
        following = (1 + (1 + 4 * t**2) ** 0.5) / 2
        return following, (t - 1) / following


def _prox(problem: Problem, point: Any, size: float) -> Any:
    """The prox of the one prior, on the unknown that it is for."""
    (prior,), (name,) = problem.priors, problem.on
    proximable = offers(prior, Proximable)
    assert proximable is not None
    if name is None:
        return owned_prox(proximable, point, size)
    return Blocks({**point, name: owned_prox(proximable, point[name], size)})


@hookimpl
def preimage_solver(settings: Settings) -> Fista:
    """The solver."""
    accelerated = settings.momentum == "fista"
    return Fista(settings.max_iter, settings.tolerance, accelerated=accelerated, restart=settings.restart)


@hookimpl
def preimage_scalars(settings: Settings) -> Mapping[str, Scalar]:
    """The largest norm of all blocks' operators, so that all take the same steps."""
    return {"norm": Scalar(_norm, "max")}


def _norm(problem: Problem) -> float:
    assert isinstance(problem.operator, LinearOperator)
    return problem.operator.norm().safe


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The estimate, the point ahead, Aᴴy and AᴴA of the point; two more where estimates or directions are compared."""
    return Memory(per_image=4 + 2 * (settings.tolerance > 0) + 2 * settings.restart)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Problem]]:
    """With a quadratic and with a sparse prior, FISTA, with restarts, and ISTA; an element of a batch without data."""
    from preimage_variational.examples import least_squares, problems, soft_threshold, with_empty_element, with_prior
    from preimage_variational.priors.l1 import L1Norm
    from preimage_variational.priors.tikhonov import Tikhonov

    for settings in (Settings(max_iter=400), Settings(max_iter=200, restart=True), Settings(momentum="none")):
        for problem in problems():
            yield settings, with_prior(problem, Tikhonov(0.3), least_squares(problem, 0.3))
        yield settings, soft_threshold(0.5)
        yield settings, with_prior(with_empty_element(), L1Norm(0.1))
