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
        self._saved: dict[Task, int | None] = {}

    def failed(self, task: Task, why: str, saved: int | None = None) -> None:
        """Count one.

        Parameters
        ----------
        saved : what tells apart the states from which it goes on. A task that got further since it failed last is
            not at fault: a long block may outlive any number of workers that are taken away.

        Raises
        ------
        RunError : it was the last.
        """
        if saved != self._saved.get(task):
            self._failed[task] = 0
        self._saved[task] = saved
        self._failed[task] += 1
        if self._failed[task] >= LIMIT:
            raise RunError(f"{task} failed {LIMIT} times, the last: {why}. Finished blocks are kept")
        self.progress.failed(f"{task}: {why}")
