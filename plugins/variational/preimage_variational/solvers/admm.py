"""ADMM: any number of priors, such as total variation, and any convex data term; few iterations, dear ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

import preimage
from preimage import Memory, Scalar, hookimpl
from preimage.errors import RequestError
from preimage.offers import offers
from preimage.operators import Identity, LinearOperator, NormalSolvable
from preimage.priors import Composite, Proximable, owned_prox
from preimage.problem import Problem
from preimage.solving import Needs, Solver, State, Stop, initial_estimate, lipschitz
from preimage.space import Space, owned_add
from preimage_variational.owned import owned_zero
from preimage_variational.solvers.balancing import change_of_penalty, ones
from preimage_variational.solvers.change import Moved, of_rank, relative_change
from preimage_variational.solvers.normal_equation import solve_by_conjugate_gradients
from preimage_variational.solvers.terms import MANY, Term, data_term, is_quadratic, prior_terms, run_norm

ImageUpdate = Literal["auto", "closed-form", "conjugate-gradient"]


class Settings(preimage.Settings):
    """How long it iterates, how closely it couples image and splits, and how it solves for the image."""

    max_iter: PositiveInt = 100
    """Number of iterations at most."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Stop when an iteration changes the image and its multipliers by less than this share; 0 never stops early."""
    penalty: PositiveFloat = 1.0
    """ρ in units of ‖A‖²/‖K‖², for each prior that looks at the image through K, so that it means the same whatever the
    units of A and K. It converges with any; for `poisson` divide 1 by the mean count."""
    residual_balancing: NonNegativeInt = 0
    """For how many iterations ρ is doubled or halved where one residual is more than ten times the other; it is fixed
    afterwards, as convergence needs. Blocks then agree at convergence only."""
    image_update: ImageUpdate = "auto"
    """How the image is solved for. `closed-form` needs an operator that has one, and priors with a prox of the image
    itself; blocks then agree at every iteration. `conjugate-gradient` needs nothing. `auto` is the first where that can
    be."""
    inner_iterations: PositiveInt = 5
    """Iterations of conjugate gradients in each, begun at the image before."""


@dataclass(kw_only=True)
class AdmmState(State):
    """The state of ADMM.

    Attributes
    ----------
    multipliers : u of each term, divided by ρ.
    data : Aᴴy where the data term is ½‖Ax − y‖², else None.
    growth : by which ρ has been multiplied, (*batch,); 1 where it is fixed.
    splits : z of each term, which stands for Kx; kept only for the balancing of residuals.
    """

    multipliers: tuple[Any, ...]
    data: Any
    growth: Any = 1.0
    splits: tuple[Any, ...] = ()


class Admm(Solver):
    """Minimises ℓ(Ax, y) + Σ g(Kx) with a split z in place of every Kx, and of Ax where ℓ is not quadratic.

    An image may rest while multipliers do not yet: with a tolerance of its own it looks at both before it stops.

    References
    ----------
    Boyd, Parikh, Chu, Peleato & Eckstein, Distributed optimization and statistical learning via the alternating
    direction method of multipliers, 2011. Several splits: Setzer, Steidl & Teuber, Deblurring Poissonian images by
    split Bregman techniques, 2010. Balancing: He, Yang & Wang, Alternating direction method with self-adaptive penalty
    parameters for monotone variational inequalities, 2000; of relative residuals: Wohlberg, ADMM penalty parameter
    selection by residual balancing, 2017.
    """

    def __init__(
        self,
        max_iter: int = 100,
        tolerance: float = 0.0,
        *,
        penalty: float = 1.0,
        residual_balancing: int = 0,
        image_update: ImageUpdate = "auto",
        inner_iterations: int = 5,
    ) -> None:
        self.penalty = penalty
        self.residual_balancing = residual_balancing
        self.image_update = image_update
        self.inner_iterations = inner_iterations
        self.stop = Stop(max_iter, tolerance)
        closed = image_update == "closed-form"
        self.couples = not closed or residual_balancing > 0  # step lengths and residuals are sums over the block
        self.needs = Needs(
            operator=(LinearOperator, NormalSolvable) if closed else (LinearOperator,),
            prior=(Proximable,) if closed else (Proximable | Composite,),
            priors=range(1, MANY) if closed else range(MANY),
        )

    def start(self, problem: Problem, x0: Any = None) -> AdmmState:
        """From x0 or zero, with multipliers of 0."""
        assert isinstance(problem.operator, LinearOperator)
        data = problem.operator.adjoint(problem.y) if is_quadratic(problem) else None  # first: it needs most memory
        x = initial_estimate(problem, x0)
        zeros = [problem.zeros(term.linear.codomain) for term in _terms(problem)]
        return AdmmState(
            x=x,
            multipliers=tuple(zeros),
            data=data,
            growth=ones(problem.domain, x) if self.residual_balancing else 1.0,
            splits=tuple(zero.clone() for zero in zeros) if self.residual_balancing else (),
        )

    def step(self, problem: Problem, state: State) -> AdmmState:
        """Solve for every split, add what it and the image disagree by to its multiplier, and solve for the image."""
        assert isinstance(state, AdmmState)
        terms, growth = _terms(problem), state.growth
        rhos = [self._rho(problem, term, growth) for term in terms]
        before = [x.clone() for x in (state.x, *state.multipliers)] if self.stop.tolerance else []
        splits, multipliers = _split(terms, rhos, state)
        if terms and state.iteration < self.residual_balancing:
            change = change_of_penalty(problem.domain, terms, rhos, state.x, state.splits, splits, multipliers)
            growth, rhos = growth * change, [rho * change for rho in rhos]
            codomains = [term.linear.codomain for term in terms]
            multipliers = [u * (1 / of_rank(change, space)) for u, space in zip(multipliers, codomains, strict=True)]
        kept = tuple(z.clone() for z in splits) if self.residual_balancing else ()
        target = _target(problem, terms, rhos, splits, multipliers, state.data)
        del splits  # their memory is free while the image is solved for
        x = self._image(problem, rhos, target, state.x)
        return AdmmState(
            x=x,
            iteration=state.iteration + 1,
            change=self._change(problem, rhos, before, [x, *multipliers]) if before else None,
            multipliers=tuple(multipliers),
            data=state.data,
            growth=growth,
            splits=kept,
        )

    def _rho(self, problem: Problem, term: Term, growth: Any) -> Any:
        """ρ of a term, a number or (*batch,)."""
        largest = lipschitz(problem) or 1.0  # nothing measured: any ρ will do
        return self.penalty * largest / (term.linear.norm().safe ** 2 or 1.0) * growth

    def _change(self, problem: Problem, rhos: list[Any], before: list[Any], after: list[Any]) -> Tensor:
        """Of the image, and of the multipliers in its units."""
        spaces = [problem.domain, *(term.linear.codomain for term in _terms(problem))]
        weights = [self.penalty * (lipschitz(problem) or 1.0), *rhos]
        return relative_change(map(Moved, spaces, weights, before, after))

    def _image(self, problem: Problem, rhos: list[Any], target: Any, x: Any) -> Any:
        """The image whose image under the Hessian is the target; x is where it was before."""
        terms, domain, quadratic = _terms(problem), problem.domain, is_quadratic(problem)
        solvable = self._closed_form(problem, terms)
        if solvable is not None:
            of_data, of_priors = (1.0, rhos) if quadratic else (rhos[0], rhos[1:])
            damping = of_rank(sum(of_priors) / of_data, domain)
            return solvable.solve_normal(target if quadratic else target * (1 / of_rank(of_data, domain)), damping)

        def hessian(v: Any, spare: Any) -> Any:
            result = owned_zero(spare)
            if quadratic:
                result = problem.operator.add_normal(result, v, 1.0)  # type: ignore[attr-defined]
            for term, rho in zip(terms, rhos, strict=True):
                result = term.add_normal(result, v, of_rank(rho, domain))
            return result

        return solve_by_conjugate_gradients(domain, hessian, target, x, self.inner_iterations)

    def _closed_form(self, problem: Problem, terms: list[Term]) -> NormalSolvable | None:
        """The operator's own inverse of AᴴA + d, where all priors have splits of the whole x, and d is one number."""
        if self.image_update == "conjugate-gradient":
            return None
        of_priors = terms if is_quadratic(problem) else terms[1:]
        of_image = bool(of_priors) and all(isinstance(t.linear, Identity) and t.on is None for t in of_priors)
        one_number = isinstance(problem.domain, Space) or not self.residual_balancing
        solvable = offers(problem.operator, NormalSolvable) if of_image and one_number else None
        if solvable is None and self.image_update == "closed-form":
            raise RequestError(
                "admm: image_update = 'closed-form' needs priors with a prox that are on all unknowns at once, and a "
                "fixed penalty where there are several: choose 'conjugate-gradient'"
            )
        return solvable


def _terms(problem: Problem) -> list[Term]:
    """What has a split: the data term where it is not quadratic, then every prior."""
    return [*([] if is_quadratic(problem) else [data_term(problem)]), *prior_terms(problem)]


def _split(terms: list[Term], rhos: list[Any], state: AdmmState) -> tuple[list[Any], list[Any]]:
    """The next z and u of every term."""
    splits, multipliers = [], []
    for term, rho, u in zip(terms, rhos, state.multipliers, strict=True):
        point = term.add_applied(u, state.x, 1.0)
        z = owned_prox(term.part, point.clone(), 1 / of_rank(rho, term.linear.codomain))
        splits.append(z)
        multipliers.append(owned_add(point, z, -1))
    return splits, multipliers


def _target(
    problem: Problem, terms: list[Term], rhos: list[Any], splits: list[Any], multipliers: list[Any], data: Any
) -> Any:
    """The gradient at 0, negative, of Σ ½ρ‖Kx − (z − u)‖², with ½‖Ax − y‖² where Ax has no split. Writes over z."""
    target = problem.zeros() if data is None else data.clone()
    for term, rho, z, u in zip(terms, rhos, splits, multipliers, strict=True):
        target = term.add_adjoint(target, owned_add(z, u, -1), of_rank(rho, problem.domain))
    return target


@hookimpl
def preimage_solver(settings: Settings) -> Admm:
    """The solver."""
    return Admm(
        settings.max_iter,
        settings.tolerance,
        penalty=settings.penalty,
        residual_balancing=settings.residual_balancing,
        image_update=settings.image_update,
        inner_iterations=settings.inner_iterations,
    )


@hookimpl
def preimage_scalars(settings: Settings) -> Mapping[str, Scalar]:
    """The largest norm of all blocks' operators, so that all have the same ρ."""
    return {"norm": Scalar(run_norm, "max")}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The estimate, Aᴴy, and what conjugate gradients work on; of one more prior the split and its multiplier.

    What is kept in place of a Kx of another size is declared by the prior, and in place of Ax by the likelihood.
    """
    before = 3 * (settings.residual_balancing > 0) + 4 * (settings.tolerance > 0)  # what is compared, of up to 3 dims
    return Memory(per_image=7 + before)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Problem]]:
    """In closed form and by conjugate gradients, with fixed and with balanced ρ; several terms; an empty element."""
    from preimage_variational.examples import least_squares, of_several_terms, problems, with_empty_element, with_prior
    from preimage_variational.priors.l1 import L1Norm
    from preimage_variational.priors.tikhonov import Tikhonov

    closed = Settings(image_update="closed-form", residual_balancing=5)
    for settings in (Settings(image_update="closed-form"), closed, Settings(image_update="conjugate-gradient")):
        for problem in problems():
            yield settings, with_prior(problem, Tikhonov(0.3), least_squares(problem, 0.3))
    for settings in (Settings(), Settings(penalty=0.05, residual_balancing=30, inner_iterations=3, tolerance=1e-10)):
        for problem in of_several_terms():
            yield settings, problem
    yield Settings(), with_prior(with_empty_element(), L1Norm(0.1))
