"""When a task is tried again: its worker died, or a disk or a network did not answer. All else would fail again."""

from __future__ import annotations

from collections import Counter

from preimage.errors import RunError
from preimage.volumes.markers import Beside
from preimage.volumes.progress import Progress
from preimage.volumes.tasks.task import Task

LIMIT = 3
"""So many attempts at one task."""


class Attempts:
    """Counts the attempts of every task that failed.

    A block that got further since it failed last is not at fault: a long one may outlive any number of workers that
    are taken away. How far it got, the state that is saved beside the run's store tells.
    """

    def __init__(self, progress: Progress, beside: Beside) -> None:
        self.progress = progress
        self.beside = beside
        self._failed: Counter[Task] = Counter()
        self._saved: dict[Task, int | None] = {}

    def failed(self, task: Task, why: str) -> None:
        """Count one.

        Raises
        ------
        RunError : it was the last.
        """
        saved = self._state(task)
        if saved != self._saved.get(task):
            self._failed[task] = 0
        self._saved[task] = saved
        self._failed[task] += 1
        if self._failed[task] >= LIMIT:
            raise RunError(f"{task} failed {LIMIT} times, the last: {why}. Finished blocks are kept")
        self.progress.failed(f"{task}: {why}")

    def _state(self, task: Task) -> int | None:
        """What tells apart the states from which a task goes on; None where it begins anew."""
        if task.kind != "block":
            return None
        try:
            return self.beside.state(task.stage, task.index).stat().st_mtime_ns
        except OSError:
            return None
