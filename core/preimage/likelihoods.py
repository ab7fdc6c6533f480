"""Likelihoods: how measurements y scatter round u = A(x)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from preimage.errors import DataError
from preimage.offers import members
from preimage.randomness import Draw
from preimage.space import AnySpace, leaves


class Likelihood(Protocol):
    """The data term ℓ(u, y), a negative log density up to scale and constant.

    Values are summed over everything, batch dims included: batch elements are independent, so gradients
    do not mix. A ℓ that is not normalised, such as one that a variance is not divided into, says by `std` or
    `dispersion` φ that its density is exp(−ℓ/φ).

    What data are and where they come from, if not u itself with noise, it says by more than is asked of all:
    `phaseless = True` where it does not see the phase of u, so that data are real numbers whatever u is (see
    `data_space`); `real_valued = True` where u must be real numbers, as counts are; `barrier = True` where ℓ is
    infinite for some u, so that iterations along gradients look where they step; a method `expected(u)` where the mean
    of the data is not u; a method `initial(operator, y, seed)` where 0 is no point from which to fit a linear
    operator's data, as ∇ℓ is 0 there, or ℓ infinite.
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
        return 0.5 * torch.stack([_energy(a - b) for a, b in zip(leaves(u), leaves(y), strict=True)]).sum()

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


def _energy(difference: Tensor) -> Tensor:
    """‖difference‖², in its own memory where no gradient is recorded."""
    real = torch.view_as_real(difference) if difference.is_complex() else difference
    return (real.square() if torch.is_grad_enabled() else real.square_()).sum()


def is_phaseless(likelihood: Any) -> bool:
    """Whether a likelihood, or every one that a declared type allows, does not see the phase of u."""
    return all(getattr(one, "phaseless", False) for one in members(likelihood))


def has_barrier(likelihood: Any) -> bool:
    """Whether a likelihood is infinite for some u."""
    return bool(getattr(likelihood, "barrier", False))


def data_space(likelihood: Any, codomain: AnySpace) -> AnySpace:
    """The space of y: the operator's codomain, in real numbers under a likelihood that sees no phase.

    Parameters
    ----------
    likelihood : itself, or the declared type of its factory.

    Raises
    ------
    DataError : the likelihood is of real numbers, and the codomain of complex ones.
    """
    if codomain.is_complex and all(getattr(one, "real_valued", False) for one in members(likelihood)):
        names = " or ".join(getattr(one, "__name__", type(one).__name__) for one in members(likelihood))
        raise DataError(
            f"the likelihood {names} is of real numbers, and A(x) is complex: take real data or a real truth, such as "
            "magnitudes, or an operator that gives real numbers, such as phase-retrieval"
        )
    return codomain.real if is_phaseless(likelihood) else codomain


def expected(likelihood: Any, u: Any) -> Any:
    """The mean of the data at u: u itself, unless the likelihood says otherwise."""
    return likelihood.expected(u) if hasattr(likelihood, "expected") else u
