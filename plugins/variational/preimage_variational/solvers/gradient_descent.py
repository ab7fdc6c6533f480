"""Gradient descent on any smooth objective, with momentum, and steps that are fixed, searched for or adapted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeAlias

import torch
import xarray as xr
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

import preimage
from preimage import Memory, Scalar, hookimpl
from preimage.errors import CapabilityError, DataError, RequestError
from preimage.likelihoods import Gaussian, has_barrier
from preimage.offers import offers
from preimage.operators import LinearOperator, Operator, hstack
from preimage.priors import Differentiable, LipschitzGradient, Valued
from preimage.problem import Problem
from preimage.solving import Needs, Solver, State, Stop, initial_estimate, lipschitz
from preimage.space import owned_add, owned_aypx
from preimage.unknowns import told, unknowns_of
from preimage_variational.solvers.change import of_rank
from preimage_variational.solvers.descent import Descent, first_share, where
from preimage_variational.solvers.terms import MANY, Term

Rule = Literal["adaptive", "line-search", "lipschitz", "fixed"]
Momentum = Literal["none", "nesterov", "heavy-ball"]
Step: TypeAlias = "float | Tensor | Mapping[str, float | Tensor]"

DECREASE: Mapping[Momentum, float] = {"none": 0.25, "nesterov": 0.5, "heavy-ball": 0.25}
"""Share of what the slope promises that a step must bring: of a quadratic, lengths up to 2(1 − share)/L pass. With
Nesterov's momentum, which in the end keeps all of a step, those beyond 4/(3L) swing for ever."""
PROBE = 1e-3
"""How far away, relative to A(x), the slope of the likelihood is compared to tell its curvature."""

PositiveFinite = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(preimage.Settings):
    """How long its steps are, what they keep of those before, and when it ends."""

    rule: Rule = "adaptive"
    """What a step of 1 is. adaptive: half of 1/L, with L as steep as the gradient turned out to change along the last
    step; whatever the units, the operator and the likelihood. line-search: a length that lowers the objective enough,
    found by halving; none where there is no such. lipschitz: 1/L for linear operators under Gaussian noise, L being
    ‖A‖² and what priors say of their own gradients. fixed: 1, in the units of the problem. Steps to where the
    likelihood is infinite are halved, for all of a block, until they lead there no more. Blocks agree at convergence
    only with the first two, and with fixed where the likelihood may be infinite."""
    step: PositiveFinite | dict[str, PositiveFinite] = 1.0
    """Factor of the rule's length; for line-search, of the first that is tried. For several unknowns one for each, such
    as { image = 1.0, kernel = 0.1 }; for adaptive and line-search only the ratios count then."""
    momentum: Momentum = "none"
    """nesterov: the gradient is taken ahead, by a share of the last step that rises from 0 to 1. heavy-ball: a step
    keeps the share `inertia` of the one before. Not with the rule adaptive."""
    inertia: float = Field(default=0.9, ge=0, lt=1)
    """Share of the last step that heavy-ball keeps."""
    max_iter: PositiveInt = 100
    """Number of iterations at most."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Stop when an iteration changes the unknowns by less than this share of their norm; 0 never stops early."""

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.rule == "adaptive" and self.momentum != "none":
            raise ValueError("the rule adaptive measures how the gradient changes along plain steps: set another rule")
        return self


@dataclass(kw_only=True)
class GdState(State):
    """The state of gradient descent.

    Attributes
    ----------
    velocity : the last step; None without momentum.
    length : λ of the last step, of the first one before it; (*batch, 1, …, 1).
    growth : θ, the ratio of the last two lengths.
    gradient : where the last step began.
    moved2 : the squared length of the last step, of unknowns in units of their steps.
    """

    velocity: Any = None
    length: Any = None
    growth: Any = None
    gradient: Any = None
    moved2: Any = None


class GradientDescent(Solver):
    """Minimises ℓ(A(x), y) + Σ R(x) by x ← x − λ D ∇, with a length λ of one of four rules.

    A step to where the likelihood is infinite is shortened, and momentum that leads there is dropped.

    Parameters
    ----------
    step : D, a number or one for each unknown; tensors may be trained.
    rule, momentum, inertia : see `Settings`.

    References
    ----------
    The rule adaptive: Malitsky & Mishchenko, Adaptive gradient descent without descent, 2020. Line search: Armijo,
    Minimization of functions having Lipschitz continuous first partial derivatives, 1966. Momentum: Polyak, Some
    methods of speeding up the convergence of iteration methods, 1964; Nesterov, A method for solving the convex
    programming problem with convergence rate O(1/k²), 1983. For phase retrieval: Candès, Li & Soltanolkotabi, Phase
    retrieval via Wirtinger flow, 2015.
    """

    n_priors = range(MANY)
    """How many priors it takes."""

    def __init__(
        self,
        step: Step = 1.0,
        rule: Rule = "adaptive",
        momentum: Momentum = "none",
        inertia: float = 0.9,
        max_iter: int = 100,
        tolerance: float = 0.0,
    ) -> None:
        self.scale = 1.0 if isinstance(step, Mapping) else step
        self.ratios = step if isinstance(step, Mapping) else None
        self.rule = rule
        self.momentum = momentum
        self.inertia = inertia
        self.varies = rule in ("adaptive", "line-search")  # its length, by inner products over the block
        self.couples = rule != "lipschitz"  # a fixed step too is halved for all of the block, before a barrier
        self.stop = Stop(max_iter, tolerance)
        bound = rule == "lipschitz"
        self.needs = Needs(
            operator=(LinearOperator,) if bound else (Operator,),
            prior=self._of_a_prior(rule),
            priors=self.n_priors,
            likelihood=(Gaussian,) if bound else (),
        )

    def _of_a_prior(self, rule: Rule) -> tuple[Any, ...]:
        """What a step asks of each."""
        more: dict[Rule, tuple[Any, ...]] = {"lipschitz": (LipschitzGradient,), "line-search": (Valued,)}
        return (Differentiable, *more.get(rule, ()))

    def check_unknowns(self, unknowns: Sequence[str], on: Sequence[str | None]) -> None:
        """Steps of their own are for every unknown."""
        if self.ratios is not None and set(self.ratios) != set(unknowns):
            raise RequestError(f"{type(self).__name__} has steps for {', '.join(self.ratios)}: {told(unknowns)}")

    def start(self, problem: Problem, x0: Any = None) -> GdState:
        """From x0, or the initial estimate of the operator or the likelihood; zero if there is none.

        Raises
        ------
        DataError : the likelihood is infinite there.
        """
        self.check_unknowns(unknowns_of(problem.domain), problem.on)
        problem, _ = self._split(problem)
        state = GdState(x=initial_estimate(problem, x0))
        if has_barrier(problem.likelihood) and not bool(_finite(problem, state.x).all()):
            raise DataError(
                f"{type(self).__name__} has no point to begin: where it would, the likelihood "
                f"{type(problem.likelihood).__name__} is infinite. See whether a setting of the likelihood makes it "
                "finite there, or take pdhg or admm, which begin anywhere"
            )
        if self.momentum != "none":
            state.velocity = problem.zeros()
        if self.varies:
            state.length = self._first_length(problem, state.x)
        if self.rule == "adaptive":
            state.growth = torch.full_like(state.length, math.inf)
            state.gradient = problem.zeros()
            state.moved2 = torch.zeros_like(state.length)
        return state

    def step(self, problem: Problem, state: State) -> GdState:
        """The gradient, ahead of x or there; how long a step; the step, and what is kept of it."""
        assert isinstance(state, GdState)
        smooth, term = self._split(problem)
        ahead = self._ahead(smooth, state)
        point = ahead if self.momentum == "nesterov" else state.x
        descent = Descent(problem.domain, smooth.gradient(point), self.ratios, term)
        length, growth = self._length(smooth, state, descent)
        length, taken = self._checked(smooth, descent, point, ahead, length)
        adaptive = self.rule == "adaptive"
        compared = state.velocity is not None or (adaptive and term is not None)
        x = descent.step(ahead.clone() if compared and ahead is state.x else ahead, taken)
        moved = owned_aypx(state.x, x, -1.0) if compared else None
        return GdState(
            x=x,
            iteration=state.iteration + 1,
            velocity=None if state.velocity is None else moved,
            length=length if self.varies else None,
            growth=growth,
            gradient=descent.gradient if adaptive else None,
            moved2=(descent.squared_step(taken) if moved is None else descent.squared_length(moved))
            if adaptive
            else None,
        )

    def _split(self, problem: Problem) -> tuple[Problem, Term | None]:
        """The part of the objective of which the gradient is taken, and that of which the prox is: none."""
        return problem, None

    def _ahead(self, problem: Problem, state: GdState) -> Any:
        """x and a share of the last step; x itself where that leads to where the likelihood is infinite."""
        if state.velocity is None:
            return state.x
        heavy = self.momentum == "heavy-ball"
        share = self.inertia if heavy else max(state.iteration - 1, 0) / (state.iteration + 2)
        ahead = owned_aypx(state.velocity, state.x, share)
        return where(_finite(problem, ahead), ahead, state.x) if has_barrier(problem.likelihood) else ahead

    def _length(self, problem: Problem, state: GdState, descent: Descent) -> tuple[Any, Any]:
        """λ of the rule, before it is looked at where it leads, and θ where it is adaptive."""
        match self.rule:
            case "fixed":
                return self.scale, None
            case "lipschitz":
                steepest = lipschitz(problem) + _steepest(problem)
                return self.scale / (steepest or 1.0), None  # nothing measured: any step will do
            case "line-search":
                return 2 * state.length, None
        return self._adapted(state, descent)

    def _adapted(self, state: GdState, descent: Descent) -> tuple[Any, Any]:
        """λ min(√(1 + θ), 1/(2λL)), with L the change of the gradient along the last step, over the length of that."""
        change = owned_add(state.gradient, descent.gradient, -1.0)
        change2 = descent.domain.inner(change, descent.scaled(change)).real
        known = (state.moved2 > 0) & (change2 > 0)  # not in the first step, nor where there is nothing left to do
        steepest = 0.5 * self.scale * _ratio(state.moved2, change2).sqrt() / state.length
        factor = torch.minimum((1 + state.growth).sqrt(), steepest)
        return torch.where(known, state.length * factor, state.length), torch.where(known, factor, state.growth)

    def _checked(self, problem: Problem, descent: Descent, point: Any, ahead: Any, length: Any) -> tuple[Any, Any]:
        """λ, halved as often as the rule or the likelihood asks for, and what is taken: 0 where no share will do."""
        checks = []
        if self.rule == "line-search":
            checks.append(_descends(problem, descent, point, length, DECREASE[self.momentum]))
        if has_barrier(problem.likelihood) and not (checks and ahead is point):
            checks.append(lambda share: _finite(problem, descent.step(ahead.clone(), share * length)))
        if not checks:
            return length, length
        share, passed = first_share(checks, descent.slope(descent.gradient))
        return length * share, length * share * passed

    def _first_length(self, problem: Problem, x: Any) -> Tensor:
        """Where the data term, linearised, is least along the gradient; 1 where it is flat there."""
        codomain: Any = problem.operator.codomain
        descent = Descent(problem.domain, problem.gradient(x), self.ratios)
        direction = descent.scaled(descent.gradient)
        predicted, along = problem.operator(x), problem.operator.jvp(x, direction)
        size2 = codomain.squared_norm(predicted)
        size2 = torch.where(size2 > 0, size2, codomain.squared_norm(problem.y))
        reach = PROBE * _ratio(size2, codomain.squared_norm(along)).sqrt()
        slope, y = problem.likelihood.grad, problem.y
        curvature = codomain.inner(along, slope(predicted + along * reach, y) - slope(predicted, y)).real / reach
        descends = descent.slope(direction)
        return self.scale * _ratio(descends, curvature.abs().reshape(descends.shape))


def _steepest(problem: Problem) -> float:
    """How much the priors add to the Lipschitz constant of the gradient: over the unknowns the most.

    Raises
    ------
    CapabilityError : a prior does not say.
    """
    of: dict[str | None, float] = {None: 0.0}
    for prior, on in zip(problem.priors, problem.on, strict=True):
        known = offers(prior, LipschitzGradient)
        if known is None:
            raise CapabilityError(
                f"the prior {type(prior).__name__} does not say how steep its gradient becomes, by lipschitz(): "
                'rule = "lipschitz" needs that; take another rule'
            )
        of[on] = of.get(on, 0.0) + known.lipschitz()
    return of.pop(None) + max(of.values(), default=0.0)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """One over the other, and 1 where either is 0, with gradients that are finite there too."""
    known = (numerator > 0) & (denominator > 0)
    return torch.where(known, numerator, 1) / torch.where(known, denominator, 1)


def _finite(problem: Problem, x: Any) -> Tensor:
    """Whether the objective is."""
    return of_rank(problem.objective(x).isfinite(), problem.domain)  # type: ignore[no-any-return]


@torch.no_grad()
def _descends(
    problem: Problem, descent: Descent, point: Any, length: Tensor, least: float
) -> Callable[[Tensor], Tensor]:
    """Whether a share of a length brings at least this share of the decrease that the slope promises.

    With a prox, for which the slope promises none: whether the smooth part stays below a quadratic that bounds it.
    """
    before = of_rank(problem.objective(point), problem.domain)

    def enough(share: Tensor) -> Tensor:
        reached = descent.step(point.clone(), share * length)
        after = of_rank(problem.objective(reached), problem.domain)
        moved = owned_aypx(point.clone(), reached, -1.0)
        bound = descent.slope(moved) + (1 - least) * descent.squared_length(moved) / (share * length)
        return after.isfinite() & (after <= before + bound)  # type: ignore[no-any-return]

    return enough


@hookimpl
def preimage_solver(settings: Settings) -> GradientDescent:
    """The solver."""
    return GradientDescent(**settings.model_dump())


@hookimpl
def preimage_scalars(settings: Settings) -> Mapping[str, Scalar]:
    """The largest norm of all blocks' operators, where steps depend on it, so that all take the same."""
    return {"norm": Scalar(_norm, "max")} if settings.rule == "lipschitz" else {}


def _norm(problem: Problem) -> float:
    assert isinstance(problem.operator, LinearOperator)
    return problem.operator.norm().safe


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The estimate, its gradient and one more to compute it; those that momentum, the rule and a tolerance keep."""
    kept = {"adaptive": 2, "line-search": 1}.get(settings.rule, 0) + 2 * (settings.momentum != "none")
    return Memory(per_input=2, per_image=3 + kept + (settings.tolerance > 0))


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Problem]]:
    """Every rule and every momentum; two unknowns of different units, with priors on each and on both."""
    from preimage_variational.examples import least_squares, problems, with_prior
    from preimage_variational.priors.tikhonov import Tikhonov

    forms = (
        Settings(max_iter=500),
        Settings(rule="line-search"),
        Settings(rule="lipschitz", momentum="nesterov"),
        Settings(rule="lipschitz", momentum="heavy-ball", inertia=0.5),
        Settings(rule="fixed", step=0.5),
    )
    for settings in forms:
        for problem in problems():
            yield settings, with_prior(problem, Tikhonov(0.3), least_squares(problem, 0.3))
    tall, *_ = problems()
    both = hstack(image=tall.operator, field=10 * tall.operator)
    priors = (Tikhonov(0.3), Tikhonov(30.0), Tikhonov(0.1))
    together = Problem(tall.y, both, priors=priors, on=("image", "field", None))
    for settings in (Settings(max_iter=500), Settings(rule="line-search")):
        yield settings.model_copy(update={"step": {"image": 1.0, "field": 0.01}}), together
