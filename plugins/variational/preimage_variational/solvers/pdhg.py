"""PDHG, a primal-dual method: any number of priors, such as total variation, and any convex data term."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import xarray as xr
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

import preimage
from preimage import Memory, Scalar, hookimpl
from preimage.operators import Identity, LinearOperator
from preimage.priors import Composite, Proximable
from preimage.problem import Problem
from preimage.solving import Needs, Solver, State, Stop, initial_estimate, lipschitz
from preimage_variational.owned import owned_copy, owned_lerp, owned_sum
from preimage_variational.solvers.change import Moved, relative_change
from preimage_variational.solvers.terms import MANY, Term, data_term, is_quadratic, prior_terms, run_norm


class Settings(preimage.Settings):
    """How long it iterates, and how it shares its steps between image and multipliers."""

    max_iter: PositiveInt = 200
    """Number of iterations at most."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Stop when an iteration changes the image and its multipliers by less than this share; 0 never stops early."""
    balance: PositiveFloat = 0.3
    """How long steps of the multipliers are against those of the image. It converges with any. For `gaussian` 0.3 is
    good at small weights and 3 at large ones; for `poisson` divide that by the mean count."""


@dataclass(kw_only=True)
class PdhgState(State):
    """The state of PDHG.

    Attributes
    ----------
    ahead : the estimate and its last step once more.
    duals : a multiplier for each term with a prox in the dual.
    fit : the multiplier z of the data term; where that is ½‖Ax − y‖², −Aᴴz in its place, which is all that is needed of
        it: a running mean of Aᴴ(y − Ax).
    data : Aᴴy where the data term is ½‖Ax − y‖², else None.
    """

    ahead: Any
    duals: tuple[Any, ...]
    fit: Any
    data: Any


@dataclass(frozen=True)
class _Scheme:
    """Which terms have their prox in the primal and which in the dual, and the step lengths.

    Σ τσ‖K‖² over all terms in the dual, the data term among them, is 1, and each has an equal part in it. In units of
    ‖A‖² for what is minimised, of one over ‖K‖² for multipliers: iterates do not depend on the units of A, y or K.
    """

    primal: list[Term]
    dual: list[Term]
    lipschitz: float
    balance: float

    @classmethod
    def of(cls, problem: Problem, balance: float) -> _Scheme:
        """For each unknown one prior with a prox goes to the primal, a constraint first: all estimates then meet it."""
        scheme = cls([], [], lipschitz(problem) or 1.0, balance)  # nothing measured: any step will do
        for term in sorted(prior_terms(problem), key=lambda term: not getattr(term.part, "constraint", False)):
            apart = all(None not in (term.on, other.on) and term.on != other.on for other in scheme.primal)
            (scheme.primal if apart and isinstance(term.linear, Identity) else scheme.dual).append(term)
        return scheme

    @property
    def tau(self) -> float:
        """The step length of the image."""
        return 1 / ((len(self.dual) + 1) * self.balance * self.lipschitz)

    def sigma(self, term: Term) -> float:
        """The step length of a multiplier."""
        return self.balance * self.lipschitz / (term.linear.norm().safe ** 2 or 1.0)


class Pdhg(Solver):
    """Minimises ℓ(Ax, y) + Σ g(Kx) by primal-dual steps, each of one A and one Aᴴ; nothing is inverted.

    An image may rest while multipliers do not yet: with a tolerance of its own it looks at both before it stops.

    References
    ----------
    Chambolle & Pock, A first-order primal-dual algorithm for convex problems with applications to imaging, 2011. Step
    lengths of their own for every term: Pock & Chambolle, Diagonal preconditioning for first order primal-dual
    algorithms in convex optimization, 2011.
    """

    needs = Needs(operator=(LinearOperator,), prior=(Proximable | Composite,), priors=range(MANY))

    def __init__(self, max_iter: int = 200, tolerance: float = 0.0, *, balance: float = 0.3) -> None:
        self.balance = balance
        self.stop = Stop(max_iter, tolerance)

    def start(self, problem: Problem, x0: Any = None) -> PdhgState:
        """From x0 or zero, with multipliers of 0."""
        assert isinstance(problem.operator, LinearOperator)
        quadratic = is_quadratic(problem)
        data = problem.operator.adjoint(problem.y) if quadratic else None  # first: it needs most memory
        x = initial_estimate(problem, x0)
        return PdhgState(
            x=x,
            ahead=x.clone(),
            duals=tuple(problem.zeros(term.linear.codomain) for term in _Scheme.of(problem, self.balance).dual),
            fit=problem.zeros(None if quadratic else problem.operator.codomain),
            data=data,
        )

    def step(self, problem: Problem, state: State) -> PdhgState:
        """A step of every multiplier at the point ahead, one of the image, and the next point ahead."""
        assert isinstance(state, PdhgState)
        scheme = _Scheme.of(problem, self.balance)
        before = [x.clone() for x in (state.x, state.fit, *state.duals)] if self.stop.tolerance else []
        duals = tuple(
            term.ascended(dual, state.ahead, scheme.sigma(term))
            for term, dual in zip(scheme.dual, state.duals, strict=True)
        )
        fit = self._fitted(problem, state)
        if is_quadratic(problem):
            point = owned_sum(state.ahead, state.x, fit, scheme.tau)
        else:
            point = data_term(problem).add_adjoint(owned_copy(state.ahead, state.x), fit, -scheme.tau)
        for term, dual in zip(scheme.dual, duals, strict=True):
            point = term.add_adjoint(point, dual, -scheme.tau)
        for term in scheme.primal:
            point = term.prox(point, scheme.tau)
        return PdhgState(
            x=point,
            iteration=state.iteration + 1,
            change=_change(problem, scheme, before, [point, fit, *duals]) if before else None,
            ahead=owned_lerp(state.x, point, 2.0),
            duals=duals,
            fit=fit,
            data=state.data,
        )

    def _fitted(self, problem: Problem, state: PdhgState) -> Any:
        """The next multiplier of the data term, whose step length is the balance."""
        if not is_quadratic(problem):
            return data_term(problem).ascended(state.fit, state.ahead, self.balance)
        assert isinstance(problem.operator, LinearOperator)
        share = self.balance / (1 + self.balance)
        return problem.operator.add_normal(owned_lerp(state.fit, state.data, share), state.ahead, -share)


def _change(problem: Problem, scheme: _Scheme, before: list[Any], after: list[Any]) -> Tensor:
    """Of the image and of the multipliers, each in units of its step length."""
    quadratic = is_quadratic(problem)
    of_fit = 1 / scheme.balance / (scheme.lipschitz if quadratic else 1.0)
    fitted = problem.domain if quadratic else problem.operator.codomain
    spaces = [problem.domain, fitted, *(term.linear.codomain for term in scheme.dual)]
    weights = [1 / scheme.tau, of_fit, *(1 / scheme.sigma(term) for term in scheme.dual)]
    return relative_change(map(Moved, spaces, weights, before, after))


@hookimpl
def preimage_solver(settings: Settings) -> Pdhg:
    """The solver."""
    return Pdhg(settings.max_iter, settings.tolerance, balance=settings.balance)


@hookimpl
def preimage_scalars(settings: Settings) -> Mapping[str, Scalar]:
    """The largest norm of all blocks' operators, so that all take the same steps."""
    return {"norm": Scalar(run_norm, "max")}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The estimate, the point ahead, Aᴴy and the multiplier of the data as an image; one for a second prox.

    What is kept in place of a Kx of another size is declared by the prior, and in place of Ax by the likelihood.
    """
    return Memory(per_image=5 + 3 * (settings.tolerance > 0))


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Problem]]:
    """One prior and two, in the primal and in the dual, on several unknowns; a data term that is not quadratic."""
    from preimage_variational.examples import least_squares, of_several_terms, problems, with_empty_element, with_prior
    from preimage_variational.priors.l1 import L1Norm
    from preimage_variational.priors.tikhonov import Tikhonov

    for problem in problems():
        yield Settings(), with_prior(problem, Tikhonov(0.3), least_squares(problem, 0.3))
    for problem in of_several_terms():
        yield Settings(balance=1.0, tolerance=1e-10), problem
    yield Settings(), with_prior(with_empty_element(), L1Norm(0.1))
