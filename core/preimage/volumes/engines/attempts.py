"""When a task is tried again: its worker died, or a disk or a network did not answer. All else would fail again."""

from __future__ import annotations

from collections import Counter

from preimage.errors import RunError
from preimage.volumes.progress import Progress
from preimage.volumes.tasks.task import Task

LIMIT = 3
"""So many attempts at one task."""


class Attempts:
    """Counts the attempts of every task that failed."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._failed: Counter[Task] = Counter()

    def failed(self, task: Task, why: str) -> None:
        """Count one.

        Raises
        ------
        RunError : it was the last.
        """
        self._failed[task] += 1
        if self._failed[task] >= LIMIT:
            raise RunError(f"{task} failed {LIMIT} times, the last: {why}. Finished blocks are kept")
        self.progress.failed(f"{task}: {why}")
