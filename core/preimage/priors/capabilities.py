"""What a prior may offer, and what solvers ask for.

A prior R(x) offers any of these protocols. Its weight is inside: solvers minimise ℓ(A(x), y) + ΣR(x).
Values are summed over everything, batch dims included. Steps are numbers or tensors (*batch, 1, …, 1).

The laws of `preimage.testing` take a prior to be convex and equivariant to a global phase unless it says
`convex = False` or `phase_equivariant = False`, and a denoiser D to be tied to one range of values unless it
says `scale_equivariant = True`: D(c·x, c·σ) = c·D(x, σ).
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from preimage.space import Space


@runtime_checkable
class Valued(Protocol):
    """R(x) itself."""

    def value(self, x: Any) -> Tensor:
        """R(x), a real 0-dim tensor."""
        ...


@runtime_checkable
class Differentiable(Protocol):
    """A gradient: gradient descent, Langevin steps, unrolled networks."""

    def grad(self, x: Any) -> Any:
        """∇R(x), for complex x ∂/∂Re + i ∂/∂Im."""
        ...


@runtime_checkable
class LipschitzGradient(Protocol):
    """How steep the gradient may become, of a differentiable prior: gradient descent by steps of 1/L."""

    def lipschitz(self) -> float:
        """L, for all blocks of a run the same, with ‖∇R(x) − ∇R(z)‖ ≤ L ‖x − z‖ for all x and z."""
        ...


@runtime_checkable
class Proximable(Protocol):
    """A proximal map in closed form: FISTA, ADMM, PDHG."""

    def prox(self, x: Any, step: Any) -> Any:
        """Return argmin over z of R(z) + ‖z − x‖² / (2·step)."""
        ...


@runtime_checkable
class Composite(Protocol):
    """R(x) = g(K x) with g proximable and K linear, such as total variation: PDHG, ADMM."""

    def split(self) -> tuple[Any, Any]:
        """Return (g, K): a `Proximable` on K's codomain, and a `LinearOperator`."""
        ...


@runtime_checkable
class Denoiser(Protocol):
    """A denoiser: plug-and-play methods, and, as a score, every diffusion sampler."""

    def denoise(self, x: Any, sigma: Any) -> Any:
        """E[x₀ | x₀ + σn = x] or an estimate of it; E|n|² = 1, so σ is in the units of x, real or complex."""
        ...


@runtime_checkable
class Generative(Protocol):
    """A generator x = G(z)."""

    def generate(self, z: Any) -> Any:
        """G(z)."""
        ...

    def latent(self) -> Space:
        """The space of z."""
        ...


@runtime_checkable
class LogDensity(Protocol):
    """A normalised log density: flows, Gaussian models."""

    def log_prob(self, x: Any) -> Tensor:
        """Return log p(x), shape (*batch,)."""
        ...
