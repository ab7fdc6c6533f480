"""What the markers of a run say of its blocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from preimage.volumes.markers import Beside
from preimage.volumes.planning.plan import Plan
from preimage.volumes.stores import read_attributes


@dataclass(frozen=True)
class Block:
    """One block of one stage.

    Attributes
    ----------
    began, ended : in seconds since the epoch; the marker is written right after the end.
    peak : bytes that its worker had held at most by then.
    """

    stage: int
    began: float
    ended: float
    peak: int

    @property
    def seconds(self) -> float:
        """How long it took its worker: to read, to solve and to write it."""
        return self.ended - self.began


def blocks_of(output: Path) -> list[Block]:
    """All blocks of all stages."""
    beside, found = Beside(output), []
    for stage in range(len(Plan.of(read_attributes(output)).stages)):
        for index in beside.done(stage):
            facts = beside.read(stage, index)
            assert facts is not None
            ended = beside.marker(stage, index).stat().st_mtime
            found.append(Block(stage, ended - facts["seconds"], ended, facts["peak"]))
    return found


def worker_seconds(blocks: list[Block]) -> list[float]:
    """For how long each worker was there: from the beginning of its first block to the end of the last of all.

    The start of processes is left out so. Markers do not name workers: a block that begins while all who are known are
    at work is the first of another.
    """
    first: list[float] = []
    until: list[float] = []
    for block in sorted(blocks, key=lambda block: block.began):
        free = [worker for worker, end in enumerate(until) if end <= block.began]
        if free:
            until[max(free, key=until.__getitem__)] = block.ended
        else:
            first.append(block.began)
            until.append(block.ended)
    return [max(until) - began for began in first]


def count_done(output: Path, stage: int = 0) -> int:
    """How many blocks of a stage are done, by the names of their markers alone."""
    return len(Beside(output).done(stage))
