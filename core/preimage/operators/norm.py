"""Operator norms, and how well they are known."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from preimage.space import Element

if TYPE_CHECKING:
    from preimage.operators.linear import LinearOperator

Kind = Literal["exact", "upper", "estimate"]
_ORDER: tuple[Kind, ...] = ("exact", "upper", "estimate")
MARGIN = 1.05


@dataclass(frozen=True)
class Norm:
    """The spectral norm ‖A‖.

    Attributes
    ----------
    value : the number.
    kind : `exact`, an `upper` bound, or an `estimate`, which may be too small.
    """

    value: float
    kind: Kind

    @property
    def safe(self) -> float:
        """A number that step rules may rely on: an estimate, which comes from below, is raised by 5 %."""
        return self.value * MARGIN if self.kind == "estimate" else self.value

    def __mul__(self, other: Norm) -> Norm:
        """‖AB‖ ≤ ‖A‖‖B‖."""
        return Norm(self.value * other.value, worst(self.kind, other.kind, "upper"))

    def scaled(self, factor: float) -> Norm:
        """‖cA‖ = |c|‖A‖, known as well as ‖A‖."""
        return Norm(abs(factor) * self.value, self.kind)


def worst(*kinds: Kind) -> Kind:
    """The kind of a number that depends on numbers of these kinds."""
    return max(kinds, key=_ORDER.index)


def norm_of_sum(norms: Iterable[Norm]) -> Norm:
    """‖ΣA‖ ≤ Σ‖A‖."""
    known = list(norms)
    return Norm(sum(n.value for n in known), worst("upper", *(n.kind for n in known)))


def norm_of_stack(norms: Iterable[Norm]) -> Norm:
    """‖(A; B)‖ ≤ √(‖A‖² + ‖B‖²), for operators stacked either way."""
    known = list(norms)
    return Norm(math.hypot(*(n.value for n in known)), worst("upper", *(n.kind for n in known)))


def norm_of_diagonal(norms: Iterable[Norm]) -> Norm:
    """‖diag(A, B)‖ = max(‖A‖, ‖B‖)."""
    known = list(norms)
    return Norm(max(n.value for n in known), worst(*(n.kind for n in known)))


@torch.no_grad()
def power_iteration(
    operator: LinearOperator, n_iterations: int = 30, seed: int = 0, batch: tuple[int, ...] = ()
) -> Norm:
    """Estimate ‖A‖ from below by iterating AᴴA on a random element.

    Parameters
    ----------
    batch : of an operator that is another one for each element of a batch; the largest of their norms is meant.
    """
    space = operator.domain
    x: Element = space.randn(torch.Generator().manual_seed(seed), batch, operator.device)
    length2 = space.squared_norm(x)  # type: ignore[arg-type]
    for _ in range(n_iterations):
        if not bool((length2 > 0).any()):
            return Norm(0.0, "exact")
        x = x * torch.where(length2 > 0, length2, 1).rsqrt()
        x = operator._apply_normal(x)
        length2 = space.squared_norm(x)  # type: ignore[arg-type]
    return Norm(float(length2.max()) ** 0.25, "estimate")


__all__ = ["Norm", "norm_of_diagonal", "norm_of_stack", "norm_of_sum", "power_iteration", "worst"]
