"""Engines: where block tasks run. All give bitwise equal results, since the plan does not know them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from preimage.volumes.block import Facts


class Engine(Protocol):
    """Runs the blocks of one stage."""

    def run(self, stage: int, blocks: Iterable[int]) -> Iterator[Facts]:
        """Yield what each block's marker says, in any order, as blocks finish."""
        ...
