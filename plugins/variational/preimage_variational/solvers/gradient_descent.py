"""Gradient descent on any smooth objective, with momentum, and steps that are fixed, searched for or adapted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeAlias

import torch
import xarray as xr
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

import preimage
from preimage import Memory, Scalar, hookimpl
from preimage.errors import RequestError
from preimage.likelihoods import Gaussian
from preimage.operators import LinearOperator, Operator, hstack
from preimage.priors import Differentiable, Valued
from preimage.problem import Problem
from preimage.solving import Needs, Solver, State, Stop, initial_estimate, lipschitz
from preimage.space import owned_add
from preimage.unknowns import told, unknowns_of

Rule = Literal["adaptive", "line-search", "lipschitz", "fixed"]
Momentum = Literal["none", "nesterov", "heavy-ball"]
Step: TypeAlias = "float | Tensor | Mapping[str, float | Tensor]"

DECREASE = 0.25
"""Share of what the slope promises that a step must bring: a quadratic lets lengths up to 1.5 times the best pass."""
HALVINGS = 30
PROBE = 1e-3
"""How far away, relative to A(x), the slope of the likelihood is compared to tell its curvature."""

PositiveFinite = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(preimage.Settings):
    """How long its steps are, what they keep of those before, and when it ends."""

    rule: Rule = "adaptive"
    """What a step of 1 is. adaptive: half of 1/L, with L as steep as the gradient turned out to change along the last
    step; whatever the units, the operator and the likelihood. line-search: a length that lowers the objective enough,
    found by halving. lipschitz: 1/‖A‖², for linear operators under Gaussian noise; priors are not counted.
    fixed: 1, in the units of the problem. With the first two, blocks agree at convergence only."""
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
    length : λ, that of the next step, or of the last under a line search; (*batch, 1, …, 1).
    growth : θ, the ratio of the last two lengths.
    gradient : where the last step began.
    """

    velocity: Any = None
    length: Any = None
    growth: Any = None
    gradient: Any = None


class GradientDescent(Solver):
    """Minimises ℓ(A(x), y) + Σ R(x) by x ← x − λ D ∇, with a length λ of one of four rules.

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
        self.couples = rule in ("adaptive", "line-search")  # their lengths are inner products over the block
        self.stop = Stop(max_iter, tolerance)
        bound = rule == "lipschitz"
        self.needs = Needs(
            operator=(LinearOperator,) if bound else (Operator,),
            prior=(Differentiable, Valued) if rule == "line-search" else (Differentiable,),
            priors=range(1000),
            likelihood=(Gaussian,) if bound else (),
        )

    def check_unknowns(self, unknowns: Sequence[str], on: Sequence[str | None]) -> None:
        """Steps of their own are for every unknown."""
        if self.ratios is not None and set(self.ratios) != set(unknowns):
            raise RequestError(f"gradient-descent has steps for {', '.join(self.ratios)}: {told(unknowns)}")

    def start(self, problem: Problem, x0: Any = None) -> GdState:
        """From x0; zero, for a linear operator; else the operator's initial estimate."""
        self.check_unknowns(unknowns_of(problem.domain), problem.on)
        state = GdState(x=initial_estimate(problem, x0))
        if self.momentum != "none":
            state.velocity = problem.zeros()
        if self.couples:
            state.length = self._first_length(problem, state.x)
        if self.rule == "adaptive":
            state.growth = torch.full_like(state.length, math.inf)
            state.gradient = problem.zeros()
        return state

    def step(self, problem: Problem, state: State) -> GdState:
        """The gradient, ahead of x or there; how long a step; the step, and what is kept of the one before."""
        assert isinstance(state, GdState)
        kept = None if state.velocity is None else state.velocity * self._share(state.iteration)
        point = state.x + kept if self.momentum == "nesterov" else state.x
        gradient = problem.gradient(point)
        direction = self._scaled(gradient)
        length, growth = self._length(problem, state, point, gradient, direction)
        velocity = None if kept is None else owned_add(kept, direction, -length)
        return GdState(
            x=owned_add(state.x, direction, -length) if velocity is None else owned_add(state.x, velocity, 1.0),
            iteration=state.iteration + 1,
            velocity=velocity,
            length=length if self.couples else None,
            growth=growth,
            gradient=gradient if self.rule == "adaptive" else None,
        )

    def _share(self, iteration: int) -> float:
        """What is kept of the last step."""
        return self.inertia if self.momentum == "heavy-ball" else max(iteration - 1, 0) / (iteration + 2)

    def _scaled(self, gradient: Any) -> Any:
        """D ∇, where unknowns have steps of their own."""
        return gradient if self.ratios is None else gradient * self.ratios

    def _length(self, problem: Problem, state: GdState, point: Any, gradient: Any, direction: Any) -> tuple[Any, Any]:
        """λ of the rule, and θ where it is adaptive."""
        match self.rule:
            case "fixed":
                return self.scale, None
            case "lipschitz":
                return self.scale / (lipschitz(problem) or 1.0), None  # nothing measured: any step will do
            case "line-search":
                trial = 2 * state.length
                return trial * _share_that_descends(problem, point, gradient, direction, trial), None
        return self._adapted(problem.domain, state, gradient)

    def _adapted(self, space: Any, state: GdState, gradient: Any) -> tuple[Any, Any]:
        """λ min(√(1 + θ), 1/(2λL)): with λL the change of the gradient along the last step, over the gradient there."""
        before2 = space.inner(state.gradient, self._scaled(state.gradient)).real
        change = owned_add(state.gradient, gradient, -1.0)
        change2 = space.inner(change, self._scaled(change)).real
        known = (before2 > 0) & (change2 > 0)  # not in the first step, nor where there is nothing left to do
        factor = torch.minimum((1 + state.growth).sqrt(), 0.5 * self.scale * _ratio(before2, change2).sqrt())
        return torch.where(known, state.length * factor, state.length), torch.where(known, factor, state.growth)

    def _first_length(self, problem: Problem, x: Any) -> Tensor:
        """Where the data term, linearised, is least along the gradient; 1 where it is flat there."""
        domain: Any = problem.domain
        codomain: Any = problem.operator.codomain
        gradient = problem.gradient(x)
        direction = self._scaled(gradient)
        predicted, along = problem.operator(x), problem.operator.jvp(x, direction)
        size2 = codomain.squared_norm(predicted)
        size2 = torch.where(size2 > 0, size2, codomain.squared_norm(problem.y))
        reach = PROBE * _ratio(size2, codomain.squared_norm(along)).sqrt()
        slope, y = problem.likelihood.grad, problem.y
        curvature = codomain.inner(along, slope(predicted + along * reach, y) - slope(predicted, y)).real / reach
        descent = domain.inner(gradient, direction).real
        return self.scale * _ratio(descent, curvature.abs().reshape(descent.shape))


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """One over the other, and 1 where either is 0, with gradients that are finite there too."""
    known = (numerator > 0) & (denominator > 0)
    return torch.where(known, numerator, 1) / torch.where(known, denominator, 1)


@torch.no_grad()
def _share_that_descends(problem: Problem, point: Any, gradient: Any, direction: Any, length: Tensor) -> Tensor:
    """The first of 1, ½, ¼, … that brings enough of a decrease; where rounding hides it, the last."""
    space: Any = problem.domain
    descent = space.inner(gradient, direction).real
    before = problem.objective(point).reshape(descent.shape)
    share = torch.ones_like(length)
    for _ in range(HALVINGS):
        after = problem.objective(point - direction * (share * length)).reshape(descent.shape)
        enough = after <= before - DECREASE * share * length * descent
        if bool(enough.all()):
            break
        share = torch.where(enough, share, share / 2)
    return share


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
