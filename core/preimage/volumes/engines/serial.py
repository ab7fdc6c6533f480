"""One task after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

import dask.config
import torch

from preimage.run_settings import ComputeSettings
from preimage.volumes.devices import choose_device
from preimage.volumes.progress import Progress
from preimage.volumes.resolve import Resolved
from preimage.volumes.tasks.guards import device_errors, disk_errors
from preimage.volumes.tasks.task import Facts, Task
from preimage.volumes.tasks.worker import open_worker


class Serial:
    """The default engine."""

    def __init__(self, compute: ComputeSettings, interrupted: Callable[[], bool], progress: Progress) -> None:
        self.threads = compute.threads
        self.interrupted = interrupted
        self.progress = progress

    def __enter__(self) -> Self:
        """Use as many threads as the plan says."""
        self._threads = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        return self

    def __exit__(self, *error: object) -> None:
        """Leave this process as it was."""
        torch.set_num_threads(self._threads)

    def device(self, name: str) -> str:
        """That of this process."""
        return str(choose_device(name))

    def open(self, output: Path, run: str, builder: str, resolved: Resolved) -> None:
        """The run whose tasks will be given."""
        self.output, self.worker = output, open_worker(output, builder, self.interrupted, resolved)
        self.worker.tell = self.progress.stepped

    def run(self, tasks: Iterable[Task]) -> Iterator[Facts]:
        """Yield what is known of each task, in order."""
        with disk_errors(self.output), dask.config.set(scheduler="synchronous"):
            for task in tasks:
                with device_errors(task):
                    facts = self.worker.do(task)
                yield facts
