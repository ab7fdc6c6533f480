"""One block after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from preimage.volumes.block import Facts, Worker


class Serial:
    """The default engine."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def run(self, stage: int, blocks: Iterable[int]) -> Iterator[Facts]:
        """Yield what each block's marker says, in order."""
        for block in blocks:
            self.worker.stop_if_asked()
            yield self.worker.run(stage, block)
