"""Who watches a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class Progress:
    """Whoever watches a run: the terminal, or an extension. This one watches nothing."""

    def started(self, record: Mapping[str, Any]) -> None:
        """The plan is made and the store is there."""

    def working(self, label: str, done: int, total: int) -> None:
        """So many of so many blocks of this are done."""

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
