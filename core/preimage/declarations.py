"""What a method declares about itself from headers alone: its axes, its memory, its numbers of the whole run."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from preimage.problem import Problem


@dataclass(frozen=True)
class Axis:
    """How far along one dim an output index depends on the input.

    Attributes
    ----------
    reach : 0 where index i of the result depends on index i alone (`split`), n where it depends on
        i−n … i+n (`halo(n)`), None where it depends on all of them (`whole`).
    """

    reach: int | None

    def __repr__(self) -> str:
        """The name by which it is declared."""
        return {0: "split", None: "whole"}.get(self.reach, f"halo({self.reach})")


split = Axis(0)
whole = Axis(None)


def halo(n: int) -> Axis:
    """Index i of the result depends on i−n … i+n of the input."""
    if n < 0:
        raise ValueError(f"halo({n}): a reach is 0 or more")
    return Axis(n)


@dataclass(frozen=True)
class Memory:
    """What a method needs at its peak beside the process itself.

    A block is predicted to need `fixed + workspace + per_input · (bytes of its measurement) + per_image ·
    (bytes of its unknown)` where it is worked on. On an accelerator that is the accelerator's memory, with `device`
    in place of `per_input`, and the host's holds what is read and what goes there and back. The declarations of all
    parts of a chain are added.

    Attributes
    ----------
    fixed : bytes that do not depend on the block, such as weights.
    per_input : multiple of the bytes of the block's measurement.
    workspace : bytes of temporaries that do not depend on the block.
    device : `per_input` on an accelerator, where that is another, as of a part that works on the host for some time.
    per_image : multiple of the bytes of the block's unknown.
    """

    fixed: int = 0
    per_input: float = 0.0
    workspace: int = 0
    device: float | None = None
    per_image: float = 0.0

    @property
    def on_device(self) -> float:
        """Multiple of the bytes of the block's measurement on an accelerator."""
        return self.per_input if self.device is None else self.device

    def __add__(self, other: Memory) -> Memory:
        """Both at once."""
        return self._with(other, operator.add)

    def __or__(self, other: Memory) -> Memory:
        """What suffices for either, one at a time."""
        return self._with(other, max)

    def _with(self, other: Memory, combine: Callable[[Any, Any], Any]) -> Memory:
        alike = self.device is None and other.device is None
        return Memory(
            combine(self.fixed, other.fixed),
            combine(self.per_input, other.per_input),
            combine(self.workspace, other.workspace),
            None if alike else combine(self.on_device, other.on_device),
            combine(self.per_image, other.per_image),
        )


@dataclass(frozen=True)
class Scalar:
    """A number of the whole run, reduced over its blocks before the first of them is solved.

    Attributes
    ----------
    partial : the number of one block's problem.
    merge : how the numbers of two blocks become one.
    """

    partial: Callable[[Problem], float]
    merge: Literal["max", "sum"]

    def combine(self, one: float, other: float) -> float:
        """The number of two blocks together."""
        return max(one, other) if self.merge == "max" else one + other
