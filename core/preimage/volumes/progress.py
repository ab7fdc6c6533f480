"""Who watches a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


class Progress:
    """Whoever watches a run: the terminal, or an extension. This one watches nothing."""

    def started(self, record: Mapping[str, Any]) -> None:
        """The plan is made and the store is there."""

    def working(self, label: str, done: int, total: int) -> None:
        """So many of so many blocks of this are done."""

    def stepped(self, block: int, iteration: int, total: int) -> None:
        """A block in work has taken so many of at most so many iterations; told now and then, where that is known."""

    def finished_block(self, record: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """A block's marker is written."""

    def employed(self, workers: int) -> None:
        """So many other processes do the work."""

    def failed(self, message: str) -> None:
        """An attempt at a task failed, and it is tried again."""

    def noted(self, message: str) -> None:
        """Something that a reader should know."""

    def finished(self, record: Mapping[str, Any]) -> None:
        """All is stored."""


class Several(Progress):
    """Tells several watchers."""

    def __init__(self, watchers: Iterable[Progress]) -> None:
        self.watchers = tuple(watchers)

    def started(self, record: Mapping[str, Any]) -> None:
        for watcher in self.watchers:
            watcher.started(record)

    def working(self, label: str, done: int, total: int) -> None:
        for watcher in self.watchers:
            watcher.working(label, done, total)

    def stepped(self, block: int, iteration: int, total: int) -> None:
        for watcher in self.watchers:
            watcher.stepped(block, iteration, total)

    def finished_block(self, record: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        for watcher in self.watchers:
            watcher.finished_block(record, facts)

    def employed(self, workers: int) -> None:
        for watcher in self.watchers:
            watcher.employed(workers)

    def failed(self, message: str) -> None:
        for watcher in self.watchers:
            watcher.failed(message)

    def noted(self, message: str) -> None:
        for watcher in self.watchers:
            watcher.noted(message)

    def finished(self, record: Mapping[str, Any]) -> None:
        for watcher in self.watchers:
            watcher.finished(record)


@dataclass
class Steps:
    """The iterations of a block in work, as far as they were told.

    Attributes
    ----------
    first : the first that was told.
    iteration, at : the last, and when.
    total : of them at most.
    timed, begun : from which on they are timed, and when that was told; None where it is to be the next.
    """

    first: int
    iteration: int
    at: float
    total: int
    timed: int
    begun: float | None

    @property
    def seconds(self) -> float | None:
        """What all iterations take; None before the second is told."""
        taken = self.iteration - self.timed
        return self.total * (self.at - self.begun) / taken if taken and self.begun is not None else None


class InWork:
    """The blocks in work."""

    def __init__(self) -> None:
        self._blocks: dict[int, Steps] = {}

    def stepped(self, block: int, iteration: int, total: int, now: float) -> None:
        """Note how far one is; it may have begun anew."""
        known = self._blocks.get(block)
        if known is None or iteration < known.iteration:
            self._blocks[block] = Steps(iteration, iteration, now, total, iteration, now)
            return
        known.iteration, known.at = iteration, now
        if known.begun is None:
            known.timed, known.begun = iteration, now

    def interrupted(self) -> None:
        """Time all from the next that is told: one waits to be tried again, and may go on further than it was."""
        for steps in self._blocks.values():
            steps.begun = None

    def finished(self, block: int) -> None:
        """Forget one, if anything is known of it."""
        self._blocks.pop(block, None)

    def clear(self) -> None:
        """Forget all."""
        self._blocks.clear()

    @property
    def iterations(self) -> list[tuple[int, int]]:
        """Of every block how many it has taken, and will take at most."""
        return [(steps.iteration, steps.total) for steps in self._blocks.values()]

    @property
    def part(self) -> float:
        """How much of them is done, in blocks."""
        return sum(steps.iteration / steps.total for steps in self._blocks.values())

    @property
    def part_here(self) -> float:
        """How much of that since it was first told; the rest may be that of an earlier attempt."""
        return sum((steps.iteration - steps.first) / steps.total for steps in self._blocks.values())

    @property
    def block_seconds(self) -> float | None:
        """Seconds from one block to the next, by their iterations alone; None where too few were told."""
        known = [steps.seconds for steps in self._blocks.values() if steps.seconds is not None]
        return sum(known) / len(known) / len(self._blocks) if known else None
