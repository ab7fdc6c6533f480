"""Whether a point is where a function is least, by looking at its neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from preimage.space import Blocks, Element
from preimage.testing.comparing import generator, length
from preimage.testing.law import LawBroken

REACHES = (1.0, 1e-2, 1e-4, 1e-6)
"""How far away neighbours lie, relative to the point: a wrong point has a lower one somewhere along a direction that
its error has a part in, if the reach is about the error's size."""
LEVEL = 1e-12
"""Rounding of a sum of some thousand values; a point that is off by δ is above the minimum by about δ²."""


def expect_prox(value: Callable[[Any], Tensor], z: Element, x: Element, step: float, name: str) -> None:
    """Raise `LawBroken` unless z minimises value(z) + ‖z − x‖²/(2·step)."""

    def objective(w: Element) -> float:
        return float(value(w)) + length(w - x) ** 2 / (2 * step)  # type: ignore[operator]

    slack = LEVEL * (1 + abs(objective(z)))
    lower = lower_neighbour(objective, z, [x, z - x], slack)  # type: ignore[operator]
    if lower is not None:
        raise LawBroken(
            f"{name} does not minimise value(z) + ‖z − x‖²/(2·{step}): {objective(z):.12g} there, {lower:.12g} nearby; "
            f"{_step_off(objective, z, x)}: is the step left out, squared or halved, or re and im treated apart?"
        )


def lower_neighbour(
    objective: Callable[[Any], float], point: Element, along: Iterable[Element], slack: float
) -> float | None:
    """A value below the one at the point by more than the slack, or None if no neighbour has one.

    Parameters
    ----------
    along : directions in which errors are likely, beside the point's own and random ones.
    """
    least, size = objective(point), length(point) or 1.0
    if math.isnan(least) or least == math.inf:
        raise LawBroken(f"the objective is {least} at the point that should minimise it")
    for direction in (point, *along, *_random(point)):
        norm = length(direction)
        for reach in REACHES if norm else ():
            for sign in (1, -1):
                found = objective(point + direction * (sign * reach * size / norm))  # type: ignore[operator]
                if found < least - slack:
                    return found
    return None


def _random(point: Element, n: int = 4) -> Iterator[Element]:
    numbers = generator(6)
    for _ in range(n):
        if isinstance(point, Blocks):
            yield Blocks({name: _like(part, numbers) for name, part in point.items()})
        else:
            yield _like(point, numbers)


def _like(part: Tensor, numbers: torch.Generator) -> Tensor:
    return torch.randn(part.shape, dtype=part.dtype, generator=numbers).to(part.device)


def _step_off(objective: Callable[[Any], float], z: Any, x: Any) -> str:
    """Where on the line from x through z the minimum lies: 1 at z itself."""
    low, high = 0.0, 8.0
    for _ in range(60):  # ternary search, which halves the interval of a convex function about every second time
        one, other = low + (high - low) / 3, high - (high - low) / 3
        if objective(x + (z - x) * one) < objective(x + (z - x) * other):
            high = other
        else:
            low = one
    return f"from x in its direction the least value is at {(low + high) / 2:.4g} times its distance"
