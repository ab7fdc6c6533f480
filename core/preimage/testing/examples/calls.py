"""The public calls of a part: what the laws of every call are checked on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from preimage.movable import moved
from preimage.space import AnySpace
from preimage.testing.comparing import DOUBLE, at, generator


@dataclass(frozen=True)
class Call:
    """One public call of a part, on arguments of its own.

    Attributes
    ----------
    name : how it is written, such as `adjoint(y)`.
    function : what is called.
    arguments : elements, and numbers.
    space : of the result; None where that is a real number, summed over a batch.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    space: AnySpace | None

    def __call__(self) -> Any:
        """Call it."""
        return self.function(*self.arguments)

    def element(self, index: int) -> Any:
        """Call it on one element of the batch."""
        return self.function(*(at(argument, index) for argument in self.arguments))


def drawn(space: AnySpace, seed: int, batch: tuple[int, ...] = (), device: torch.device | str | None = None) -> Any:
    """A random element: the same numbers, but for rounding, in every precision."""
    exact = space.with_dtype(DOUBLE).randn(generator(seed), batch)
    return moved(exact, device, None if is_double(space) else torch.float32)


def is_double(space: AnySpace) -> bool:
    """Whether a space is of double precision."""
    return space == space.with_dtype(DOUBLE)
