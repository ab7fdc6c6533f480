"""Named bridges between capabilities. Nothing is bridged in silence: a user or a solver names the adapter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from preimage.movable import Movable
from preimage.operators import LinearOperator
from preimage.space import leaves


def conjugate_prox(part: Any, x: Any, step: Any) -> Any:
    """Prox of step·g* at x from the prox of g: x − step · prox_{g/step}(x/step) (Moreau, 1965)."""
    return x - step * part.prox(x * (1 / step), 1 / step)


@dataclass(frozen=True)
class MoreauEnvelope(Movable):
    """The smooth lower bound min_z R(z) + ‖z − x‖²/(2μ) of a proximable R."""

    part: Any
    smoothing: float

    def value(self, x: Any) -> Tensor:
        """The envelope's value, for an R that has one."""
        nearest = self.part.prox(x, self.smoothing)
        distance2 = sum(d.abs().square().sum() for d in leaves(x - nearest))
        return self.part.value(nearest) + distance2 / (2 * self.smoothing)  # type: ignore[no-any-return]

    def grad(self, x: Any) -> Any:
        """(x − prox(x, μ)) / μ."""
        return (x - self.part.prox(x, self.smoothing)) * (1 / self.smoothing)

    def lipschitz(self) -> float:
        """1/μ, for a convex R."""
        return 1 / self.smoothing


@dataclass(frozen=True)
class DenoiserAsProx(Movable):
    """Prox(x, step) := D(x, √(step·weight)), as plug-and-play methods do."""

    denoiser: Any
    weight: float = 1.0

    def prox(self, x: Any, step: Any) -> Any:
        """The denoised x."""
        strength = step * self.weight
        sigma = strength.sqrt() if isinstance(strength, Tensor) else math.sqrt(strength)
        return self.denoiser.denoise(x, sigma)


@dataclass(frozen=True)
class DenoiserAsScore(Movable):
    """The score of x at noise level σ, (D(x, σ) − x)/σ² (Tweedie); for complex x the Wirtinger gradient ∂/∂x̄."""

    denoiser: Any

    def score(self, x: Any, sigma: Any) -> Any:
        """∇ log p_σ(x)."""
        return (self.denoiser.denoise(x, sigma) - x) * (1 / sigma**2)


@dataclass(frozen=True)
class RedGradient(Movable):
    """∇R(x) := weight · (x − D(x, σ)). Romano, Elad & Milanfar, Regularization by denoising, 2017."""

    denoiser: Any
    sigma: float
    weight: float = 1.0

    def grad(self, x: Any) -> Any:
        """The gradient."""
        return self.weight * (x - self.denoiser.denoise(x, self.sigma))


@dataclass(frozen=True)
class RealLift(Movable):
    """A denoiser of real images on complex ones, real and imaginary part apart: each carries σ/√2."""

    denoiser: Any

    def denoise(self, x: Tensor, sigma: Any) -> Tensor:
        """Denoise both parts."""
        part_sigma = sigma / math.sqrt(2)
        return torch.complex(
            self.denoiser.denoise(x.real.contiguous(), part_sigma),
            self.denoiser.denoise(x.imag.contiguous(), part_sigma),
        )


@dataclass(frozen=True)
class ProxByIterations(Movable):
    """The prox of a composite R(x) = g(Kx), by accelerated projected gradient on its dual.

    References
    ----------
    Beck & Teboulle, Fast gradient-based algorithms for constrained total variation, 2009.
    """

    part: Any
    n_iterations: int
    tolerance: float

    def value(self, x: Any) -> Tensor:
        """g(Kx), for a g that has a value."""
        outer, linear = self.part.split()
        return outer.value(linear(x))  # type: ignore[no-any-return]

    def prox(self, x: Any, step: Any) -> Any:
        """Stop after `n_iterations`, or when an iteration moves the result by less than `tolerance`, relatively."""
        outer, linear = self.part.split()
        assert isinstance(linear, LinearOperator)
        batch = linear.domain.batch(x)
        dual_step = 1 / (_of_rank(step, batch, linear.codomain) * linear.norm().safe ** 2)
        dual = linear(x) * 0
        ahead, momentum, estimate = dual, 1.0, x
        for iteration in range(self.n_iterations):
            previous, last = dual, estimate
            estimate = x - step * linear.adjoint(ahead)
            dual = conjugate_prox(outer, ahead + dual_step * linear(estimate), dual_step)
            following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            ahead = dual + ((momentum - 1) / following) * (dual - previous)
            momentum = following
            # The first estimate is x itself, for the dual begins at 0. A batch stops when its last element does.
            if iteration and self.tolerance > 0 and _arrived(linear.domain, estimate, last, self.tolerance):
                break
        return x - step * linear.adjoint(dual)


def _of_rank(step: Any, batch: tuple[int, ...], space: Any) -> Any:
    """A step for each element of a batch of x, so that it broadcasts against elements of another space."""
    if not isinstance(step, Tensor) or not step.ndim:
        return step
    return step.expand(*batch, *step.shape[len(batch) :]).reshape(*batch, *[1] * getattr(space, "ndim", 0))


def _arrived(space: Any, estimate: Any, last: Any, tolerance: float) -> bool:
    moved2, size2 = space.squared_norm(estimate - last), space.squared_norm(estimate)
    return bool((moved2 < tolerance**2 * size2).all())


def moreau(part: Any, smoothing: float) -> MoreauEnvelope:
    """A differentiable envelope of a proximable prior."""
    return MoreauEnvelope(part, smoothing)


def denoiser_as_prox(denoiser: Any, weight: float = 1.0) -> DenoiserAsProx:
    """A denoiser where a prox is asked for."""
    return DenoiserAsProx(denoiser, weight)


def denoiser_as_score(denoiser: Any) -> DenoiserAsScore:
    """A denoiser where a score is asked for."""
    return DenoiserAsScore(denoiser)


def red_gradient(denoiser: Any, sigma: float, weight: float = 1.0) -> RedGradient:
    """A denoiser where a gradient is asked for."""
    return RedGradient(denoiser, sigma, weight)


def prox_by_iterations(part: Any, n_iterations: int, tolerance: float = 0.0) -> ProxByIterations:
    """A composite prior where a prox is asked for, at the stated cost of an inner loop."""
    return ProxByIterations(part, n_iterations, tolerance)


def real_lift(denoiser: Any) -> RealLift:
    """A real denoiser where complex images are denoised."""
    return RealLift(denoiser)
