"""Likelihoods: how measurements y scatter round u = A(x)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from preimage.randomness import Draw
from preimage.space import leaves


class Likelihood(Protocol):
    """The data term ℓ(u, y), a negative log density up to scale and constant.

    Values are summed over everything, batch dims included: batch elements are independent, so gradients
    do not mix. A ℓ that is not normalised, such as one that a variance is not divided into, says by `std` or
    `dispersion` φ that its density is exp(−ℓ/φ).
    """

    scale_equivariant: bool
    """Whether ℓ(c·u, c·y) = c²·ℓ(u, y), so that a run may solve for y divided by its scale."""

    def value(self, u: Any, y: Any) -> Tensor:
        """ℓ(u, y), a real 0-dim tensor."""
        ...

    def grad(self, u: Any, y: Any) -> Any:
        """The gradient with respect to u, for complex u that of the real and imaginary part: ∂/∂Re + i ∂/∂Im."""
        ...

    def prox(self, u: Any, y: Any, step: Any) -> Any:
        """Return argmin over z of ℓ(z, y) + ‖z − u‖² / (2·step); step is a number or (*batch, 1, …, 1)."""
        ...

    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        """Data drawn round u, the same for an element of the whole whatever block it is drawn in."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """White Gaussian noise: ½‖u − y‖².

    The standard deviation is not divided in, so that a prior's weight is the λ of ½‖Ax − y‖² + λR(x).

    Attributes
    ----------
    std : standard deviation of the noise in the units of the data, E|n|² = std² for real and complex data
        alike; None if it is not known.
    """

    std: float | None = None
    scale_equivariant = True

    def value(self, u: Any, y: Any) -> Tensor:
        """½‖u − y‖²."""
        parts = [(a - b).abs().square().sum() for a, b in zip(leaves(u), leaves(y), strict=True)]
        return 0.5 * torch.stack(parts).sum()

    def grad(self, u: Any, y: Any) -> Any:
        """U − y."""
        return u - y

    def prox(self, u: Any, y: Any, step: Any) -> Any:
        """(u + step·y) / (1 + step)."""
        return (u + step * y) * (1 / (1 + step))

    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        """U + std · white noise; u itself where std is None."""
        if not self.std:
            return u.clone()
        return u + self.std * draw.normal(tuple(u.shape), u.dtype, u.device)

    def rescaled(self, factor: float) -> Gaussian:
        """The likelihood of data multiplied by `factor`."""
        return self if self.std is None else Gaussian(self.std * factor)
