"""What a task is, and doing one in this process, whichever that is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from preimage.volumes.markers import Stage
    from preimage.volumes.tasks.worker import Worker

Facts = dict[str, Any]
"""What is known of a task that is done: of a block, what its marker says."""
Tell = Callable[[int, int, int], None]
"""Told now and then which block has taken how many iterations, and how many it takes at most."""


def silent(block: int, iteration: int, most: int) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class Task:
    """One piece of a run. It holds no data and no settings: these are in the run's store.

    Attributes
    ----------
    kind : fit a preparation, reduce a block to the numbers of the run, do a round of a block, or do a block.
    stage : the stage of the plan.
    index : of the block; of the preparation in the chain for a fit.
    number : of the round.
    """

    kind: Literal["fit", "numbers", "round", "block"]
    stage: int
    index: int
    number: int = 0

    @property
    def marker(self) -> tuple[Stage, int] | None:
        """Where its marker is; None for what is not kept, or elsewhere."""
        match self.kind:
            case "block":
                return self.stage, self.index
            case "fit":
                return "fits", self.index
        return None

    def __str__(self) -> str:
        """For a message."""
        what = {
            "fit": "the fit of preparation",
            "numbers": "the numbers of block",
            "round": f"round {self.number} of block",
            "block": "block",
        }[self.kind]
        return f"{what} {self.index} of stage {self.stage + 1}"


class _Kept:
    """The worker of this process, kept between tasks of one run."""

    turn = threading.Lock()
    run: str = ""
    worker: Worker | None = None


def perform(
    output: str,
    run: str,
    builder: str,
    task: Task,
    interrupted: Callable[[], bool] | None = None,
    tell: Tell = silent,
) -> Facts:
    """Do a task of the run in a store, one at a time in a process; the worker is kept for the next.

    Parameters
    ----------
    run : which run of that store; a worker kept from an earlier one is dropped.
    builder : dotted name of what makes the run's chain. The driver says it: what lies in a store runs no code.
    interrupted : asked after every iteration; else, whether the driver left word beside the store.
    tell : told how far a block is.

    Returns
    -------
    What is known of it; `stopped` where it was interrupted, and its state is saved.
    """
    import dask.config
    import torch

    from preimage.volumes.tasks.guards import device_errors, disk_errors
    from preimage.volumes.tasks.worker import open_worker

    with _Kept.turn, disk_errors(Path(output)), dask.config.set(scheduler="synchronous"):
        if _Kept.run != run or _Kept.worker is None:
            _Kept.worker = None  # let go of the memory of the last before taking more
            _Kept.worker = open_worker(Path(output), builder, interrupted, run=run)
            _Kept.run = run
        _Kept.worker.tell = tell
        torch.set_num_threads(_Kept.worker.compute.threads)  # threads of a dask worker each have a number of their own
        try:
            with device_errors(task):
                return _Kept.worker.do(task)
        except KeyboardInterrupt:
            return {"stopped": True}
