"""How far a run is, from its store and what lies beside it; any process may ask."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from preimage.volumes.lease import Lease
from preimage_registry.results.stored import StoredRun

State = Literal["starting", "running", "silent", "stopped", "failed", "killed", "damaged", "finished"]

MEANINGS: dict[State, str] = {
    "starting": "it has no plan yet",
    "running": "its process is at work",
    "silent": "its process is there but says nothing: it is suspended, or its disk does not answer",
    "stopped": "it was stopped; the command that began it goes on",
    "failed": "it failed; mend that, and the command that began it goes on",
    "killed": "its process is gone without a word; the command that began it goes on",
    "damaged": "it was finished, and not all of it is there; the command that began it does again what is lost",
    "finished": "all is stored",
}
SAMPLE = 50
"""So many markers say how long a block takes."""


@dataclass(frozen=True)
class StageStatus:
    """How far a stage is.

    Attributes
    ----------
    label : what it does.
    done, total : blocks.
    block_seconds : that a block takes its worker; None before the first.
    """

    label: str
    done: int
    total: int
    block_seconds: float | None


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes
    ----------
    state : one of `MEANINGS`.
    stages : in order.
    lease : what its process said last; None if none was ever at work.
    budget : bytes that one worker may use.
    """

    path: Path
    state: State
    stages: tuple[StageStatus, ...]
    lease: Lease | None
    budget: int

    @property
    def stage(self) -> StageStatus | None:
        """The stage in work; None once all blocks are done."""
        return next((stage for stage in self.stages if stage.done < stage.total), None)

    @property
    def in_work(self) -> bool:
        """Whether there is anything to wait for."""
        return self.state in ("starting", "running", "silent")

    @property
    def remaining(self) -> float | None:
        """Seconds that the stage in work will take from now; None where nothing tells."""
        stage, lease = self.stage, self.lease
        if self.state != "running" or stage is None or lease is None:
            return None
        to_do = stage.total - stage.done - lease.part
        if lease.label == stage.label and lease.block_seconds:
            return max(0.0, to_do * lease.block_seconds - lease.since)
        return None if stage.block_seconds is None else to_do * stage.block_seconds / max(1, lease.workers)


def status_of(path: Path) -> Status:
    """How far the run of a store is. Where its process is on another machine, a few seconds pass until it is heard.

    Raises
    ------
    RequestError : there is no such store, or it is not that of a run.
    """
    run = StoredRun.open(path)
    lease = Lease.read(run.beside.lease)
    if "plan" not in run.record:
        return Status(path, "starting", (), lease, 0)
    stages = tuple(
        StageStatus(" → ".join(stage.labels), len(done), stage.n_blocks, _block_seconds(run, index, done))
        for index, stage in enumerate(run.plan.stages)
        for done in [_done(run, index)]
    )
    return Status(path, _state(run, lease, stages), stages, lease, run.plan.memory)


def watch(path: Path, every: float = 1.0) -> Iterator[Status]:
    """How far it is, again and again, until there is nothing to wait for."""
    while True:
        status = status_of(path)
        yield status
        if not status.in_work:
            return
        time.sleep(every)


def _state(run: StoredRun, lease: Lease | None, stages: Sequence[StageStatus]) -> State:
    if run.record.get("finished"):
        solve = stages[-1]
        return "finished" if solve.done == solve.total else "damaged"
    if lease is None:
        return "stopped"
    if lease.state == "failed" or lease.state == "stopped":
        return lease.state
    alive = lease.is_alive
    if alive is None:
        return "running" if lease.is_heard(run.beside.lease) else "silent"
    if not alive:
        return "killed"
    return "silent" if lease.is_silent else "running"


def _done(run: StoredRun, stage: int) -> list[int]:
    """The blocks of a stage that are done: all of a finished run that was copied without its folder of markers."""
    if run.record.get("finished") and not run.beside.folder.exists():
        return list(range(run.plan.stages[stage].n_blocks))
    return run.beside.done(stage)


def _block_seconds(run: StoredRun, stage: int, done: list[int]) -> float | None:
    """What a block takes, the mean over some that are spread over all that are done."""
    some = done[:: max(1, len(done) // SAMPLE)]
    facts = [run.beside.read(stage, block) for block in some]
    seconds = [float(one["seconds"]) for one in facts if one is not None]
    return sum(seconds) / len(seconds) if seconds else None
