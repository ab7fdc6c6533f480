"""Proximal gradient descent: any smooth data term, also of a nonlinear operator, with one prior that has a prox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import xarray as xr

from preimage import Memory, Scalar, hookimpl
from preimage.errors import RequestError
from preimage.operators import Identity, hstack
from preimage.priors import Proximable
from preimage.problem import Problem
from preimage_variational.solvers import gradient_descent
from preimage_variational.solvers.gradient_descent import GradientDescent, Rule
from preimage_variational.solvers.terms import Term, prior_terms


class Settings(gradient_descent.Settings):
    """How long its steps are, what they keep of those before, and when it ends."""


class ProximalGradient(GradientDescent):
    """Minimises ℓ(A(x), y) + R(x) by x ← prox(x − λ D ∇ℓ, λ D), with a length λ of one of four rules.

    For constraints, it is projected gradient descent; with Nesterov's momentum, accelerated proximal gradient descent.
    Where the data term is not convex, as in phase retrieval, it ends where no step leads further down.

    References
    ----------
    Combettes & Wajs, Signal recovery by proximal forward-backward splitting, 2005. Line search and Nesterov's momentum:
    Beck & Teboulle, A fast iterative shrinkage-thresholding algorithm for linear inverse problems, 2009. The rule
    adaptive: Latafat, Themelis, Stella & Patrinos, Adaptive proximal algorithms for convex optimization under local
    Lipschitz continuity of the gradient, 2024. For phase retrieval with a support: Fienup, Phase retrieval algorithms:
    a comparison, 1982.
    """

    n_priors = range(1, 2)

    def _of_a_prior(self, rule: Rule) -> tuple[Any, ...]:
        return (Proximable,)

    def check_unknowns(self, unknowns: Sequence[str], on: Sequence[str | None]) -> None:
        """Steps of their own are for every unknown, and then the prior is for one of them."""
        super().check_unknowns(unknowns, on)
        if self.ratios is not None and None in on:
            raise RequestError("a prior on all unknowns takes one step for all: say on = ..., or set step to a number")

    def _split(self, problem: Problem) -> tuple[Problem, Term | None]:
        """The data term, and the prior."""
        (term,) = prior_terms(problem)
        return replace(problem, priors=(), on=()), term


@hookimpl
def preimage_solver(settings: Settings) -> ProximalGradient:
    """The solver."""
    return ProximalGradient(**settings.model_dump())


@hookimpl
def preimage_scalars(settings: Settings) -> Mapping[str, Scalar]:
    """Those of gradient descent."""
    return gradient_descent.preimage_scalars(settings)


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """What gradient descent needs, and the image before the prox."""
    plain = gradient_descent.preimage_memory(settings, dataset)
    return replace(plain, per_image=plain.per_image + 1)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Problem]]:
    """Every rule and every momentum, with a sparse prior and a quadratic one; two unknowns of different units."""
    from preimage_variational.examples import IMAGE, least_squares, problems, soft_threshold, with_prior
    from preimage_variational.priors.l1 import L1Norm
    from preimage_variational.priors.tikhonov import Tikhonov

    for settings in (
        Settings(max_iter=500),
        Settings(rule="line-search"),
        Settings(rule="lipschitz", momentum="nesterov"),
        Settings(rule="lipschitz", momentum="heavy-ball", inertia=0.5),
        Settings(rule="fixed", step=0.2),
    ):
        yield settings, soft_threshold(0.5)
        problem = next(iter(problems()))
        yield settings, with_prior(problem, Tikhonov(0.3), least_squares(problem, 0.3))
    both = hstack(image=Identity(IMAGE), field=10 * Identity(IMAGE))
    together = Problem(soft_threshold(0.5).y, both, priors=(L1Norm(3.0),), on=("field",))
    for settings in (Settings(max_iter=500), Settings(rule="line-search")):
        yield settings.model_copy(update={"step": {"image": 1.0, "field": 0.01}}), together
