"""What a run does about Ctrl-C, about disks, and about how much is done at once."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import zarr

from preimage.errors import RunError

if TYPE_CHECKING:
    from preimage.volumes.tasks.task import Task


@contextmanager
def interruptible() -> Iterator[Any]:
    """Turn the first Ctrl-C into a question that loops ask, so that no step is cut in two; the second stops at once."""
    asked: list[int] = []

    def note(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread: Ctrl-C does not come here
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
        if asked:
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def device_errors(task: Task) -> Iterator[None]:
    """Say what it means for the run that a task asks for more memory than its device has.

    Raises
    ------
    RunError : it did.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        said = str(error).partition(". ")[0]
        raise RunError(
            f"{task} needs more memory than its device has ({said}). Finished blocks are kept. "
            "Smaller blocks need less: give the run compute.blocks, or less compute.device_memory than the device has"
        ) from error


@contextmanager
def few_chunks_at_once(threads: int) -> Iterator[None]:
    """Have Zarr read and write as many chunks at once as a worker has threads, and one more, to wait for the disk.

    Otherwise these are ten, each of them in memory two or three times: what a block needs would be another by each run,
    and more than is planned.
    """
    with zarr.config.set({"async.concurrency": threads + 1}):
        yield


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Say what a full or read-only disk means for the run."""
    reasons = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EROFS: "it is on a read-only disk",
        errno.EACCES: "it is not allowed",
    }
    try:
        yield
    except OSError as error:
        if error.errno not in reasons:
            raise
        raise RunError(
            f"{error.filename or path} could not be used: {reasons[error.errno]}. "
            "Finished blocks are kept: mend that and run the same command again"
        ) from error
