"""By how much an iteration with multipliers moved: an image may rest while its multipliers do not yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from torch import Tensor

from preimage.space import AnySpace, ProductSpace, safe_divide


class Moved(NamedTuple):
    """One of the things that an iteration moves.

    Attributes
    ----------
    space : of the elements.
    weight : by which its squared norm counts, a number or (*batch,).
    before, after : the iteration.
    """

    space: AnySpace
    weight: Any
    before: Any
    after: Any


def relative_change(moved: Iterable[Moved]) -> Tensor:
    """√(Σ weight ‖after − before‖² / Σ weight ‖after‖²), (*batch,)."""
    pairs = [
        (weight * norm2(space, after - before), weight * norm2(space, after)) for space, weight, before, after in moved
    ]
    return safe_divide(sum(step2 for step2, _ in pairs), sum(size2 for _, size2 in pairs)).sqrt()


def norm2(space: Any, x: Any) -> Tensor:
    """‖x‖², (*batch,)."""
    squared: Tensor = space.squared_norm(x)
    return squared.reshape(space.batch(x))


def of_rank(number: Any, space: AnySpace) -> Any:
    """A number for each element of a batch, (*batch,), so that it broadcasts against elements of a space."""
    if not isinstance(number, Tensor) or isinstance(space, ProductSpace):
        return number
    return number.reshape(*number.shape, *[1] * space.ndim)
