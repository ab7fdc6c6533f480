"""Engines: where tasks are done. All give bitwise equal results, since the plan does not know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:  # a worker that is only looked at loads as little as can be
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from preimage.run_settings import ComputeSettings
    from preimage.volumes.progress import Progress
    from preimage.volumes.resolve import Resolved
    from preimage.volumes.tasks.task import Facts, Task


class Engine(Protocol):
    """Does tasks."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def device(self, name: str) -> str:
        """The device that `compute.device` means where tasks are done."""
        ...

    def open(self, output: Path, run: str, builder: str, resolved: Resolved) -> None:
        """The run whose tasks will be given.

        Parameters
        ----------
        builder : dotted name of what makes its chain.
        resolved : what this process has made of it.
        """
        ...

    def run(self, tasks: Iterable[Task]) -> Iterator[Facts]:
        """Yield what is known of each task, in any order, as they are done.

        Raises
        ------
        KeyboardInterrupt : the run was interrupted; what was in work is saved.
        RunError : a task cannot be done, or there is nobody to do it.
        """
        ...


def choose_engine(compute: ComputeSettings, interrupted: Callable[[], bool], progress: Progress) -> Engine:
    """The engine that the settings ask for."""
    if compute.on_a_cluster:
        from preimage.volumes.engines.cluster import Cluster

        return Cluster(compute, interrupted, progress)
    if compute.workers > 1:
        from preimage.volumes.engines.processes import Processes

        return Processes(compute, interrupted, progress)
    from preimage.volumes.engines.serial import Serial

    return Serial(compute, interrupted, progress)
