"""Residual balancing: a penalty that is neither so small that splits drift apart nor so large that nothing moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from preimage.space import AnySpace, leaves, safe_divide
from preimage_variational.solvers.change import norm2, of_rank
from preimage_variational.solvers.terms import Term

RATIO = 10.0
"""Of the two residuals, above which the penalty is changed."""
FACTOR = 2.0
"""By which it is."""


def change_of_penalty(
    space: AnySpace,
    terms: Sequence[Term],
    rhos: Sequence[Any],
    x: Any,
    before: Sequence[Any],
    splits: Sequence[Any],
    multipliers: Sequence[Any],
) -> Tensor:
    """By which to multiply ρ, (*batch,): 2 where Kx − z is large, ½ where z still moves much, else 1.

    Both residuals are relative to what they are differences of, so that units do not matter.

    Parameters
    ----------
    space : of x.
    before, splits : z before and after the iteration.
    multipliers : u after it, divided by ρ.

    References
    ----------
    He, Yang & Wang, Alternating direction method with self-adaptive penalty parameters for monotone variational
    inequalities, 2000. Wohlberg, ADMM penalty parameter selection by residual balancing, 2017.
    """

    def size2(elements: Iterable[Any]) -> Tensor:
        """Σ ρ‖element‖²."""
        parts = zip(terms, rhos, elements, strict=True)
        return torch.stack([rho * norm2(term.linear.codomain, element) for term, rho, element in parts]).sum(0)

    def pulled2(elements: Iterable[Any]) -> Tensor:
        """‖Σ ρ Kᴴ element‖²."""
        total = x * 0.0
        for term, rho, element in zip(terms, rhos, elements, strict=True):
            total = term.add_adjoint(total, element, of_rank(rho, space))
        return norm2(space, total)

    seen = [term.of(x) for term in terms]
    apart = size2(a - z for a, z in zip(seen, splits, strict=True))
    moved = pulled2(z - b for z, b in zip(splits, before, strict=True))
    primal2 = safe_divide(apart, torch.maximum(size2(seen), size2(splits)))
    dual2 = safe_divide(moved, pulled2(multipliers))
    grows, shrinks = primal2 > RATIO**2 * dual2, dual2 > RATIO**2 * primal2
    return torch.where(grows, FACTOR, torch.where(shrinks, 1 / FACTOR, torch.ones_like(primal2)))


def ones(space: AnySpace, x: Any) -> Tensor:
    """1 for each element of a batch, (*batch,)."""
    return leaves(x)[0].real.new_ones(space.batch(x))
