"""The lease: a small file beside a run store in which the process that drives the run says how it goes.

It says so every few seconds, and while it does no other may drive that run. No clock is trusted: beats are counted,
durations are differences of one monotonic clock, and whether the process is there is asked of the machine that it
runs on. From another machine only the count tells.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

from preimage.errors import RequestError
from preimage.files import write_atomically
from preimage.volumes.memory import held, peak
from preimage.volumes.progress import InWork, Progress

PERIOD = 5.0
"""Seconds between two beats."""
MISSED = 3
"""So many periods without a beat are a silence."""


@dataclass(frozen=True)
class Lease:
    """What the process that writes a run store says of itself.

    Attributes
    ----------
    host, place : the machine by name, and what tells it from others and from itself before a restart.
    pid, born : the process, and when it began in ticks of its machine, since numbers of processes come again.
    beat : a count of beats.
    clock, period : of the machine's monotonic clock at this beat, and between two; in seconds.
    state : `failed` and `stopped` are said at the end; who is killed leaves `running` behind.
    label, done, total : what is in work, in blocks.
    iterations : of every block in work how many it has taken, and will take at most, where that is known.
    block_seconds : seconds that a block of it takes this process, waiting for others included; None if nothing tells.
    since : seconds since the last news of it, or since it began.
    memory, peak : bytes of the process, now and at most; of the largest worker, where others do the work.
    workers : processes that do the work; 0 where it is this one.
    failures, error : attempts that failed, and what the last of them said.
    """

    host: str
    place: str
    pid: int
    born: int | None
    beat: int = 0
    clock: float = 0.0
    period: float = PERIOD
    state: Literal["running", "stopped", "failed", "finished"] = "running"
    label: str = ""
    done: int = 0
    total: int = 0
    iterations: Sequence[tuple[int, int]] = ()
    block_seconds: float | None = None
    since: float = 0.0
    memory: int = 0
    peak: int = 0
    workers: int = 0
    failures: int = 0
    error: str = ""

    @classmethod
    def of_this_process(cls, before: Lease | None = None) -> Lease:
        """That of a process which begins, and goes on counting the failures of the one before it."""
        pid = os.getpid()
        begun = cls(platform.node(), _place(), pid, _born(pid))
        return replace(begun, failures=before.failures, error=before.error) if before else begun

    @classmethod
    def read(cls, path: Path) -> Lease | None:
        """The lease that is stored; None if there is none that can be read."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def part(self) -> float:
        """How much of the blocks in work is done, in blocks."""
        return sum(taken / most for taken, most in self.iterations)

    @property
    def is_here(self) -> bool:
        """Whether its process is one of this machine, so that the machine can be asked."""
        return self.place == _place()

    @property
    def is_alive(self) -> bool | None:
        """Whether its process is there; None if only its beats can tell."""
        return _born(self.pid) == self.born and _exists(self.pid) if self.is_here else None

    def is_heard(self, path: Path) -> bool:
        """Whether another beat comes within the time in which one must; this takes a few seconds."""
        until = time.monotonic() + MISSED * self.period
        while time.monotonic() < until:
            time.sleep(self.period / 20)
            lease = Lease.read(path)
            if lease is not None and (lease.pid, lease.beat) != (self.pid, self.beat):
                return True
        return False

    @property
    def silence(self) -> float | None:
        """Seconds since its last beat, if that is known here."""
        return max(0.0, time.monotonic() - self.clock) if self.is_here else None

    @property
    def is_silent(self) -> bool:
        """Whether beats are missing, as far as that is known here."""
        return (self.silence or 0.0) > MISSED * self.period


class Heartbeat(Progress):
    """Keeps the lease of a run for as long as its process drives it, by a thread of its own.

    Where it cannot be written later the run goes on: what matters is told by the markers.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock

    def __enter__(self) -> Self:
        """Say that the run is in work.

        Raises
        ------
        RequestError : another process drives it.
        """
        before = Lease.read(self.path)
        try:
            self._lock = _locked(self.path.with_suffix(".lock"))
            if before is not None and _is_taken(before, self.path):
                self._unlock()
                raise BlockingIOError
        except BlockingIOError:
            who = f"process {before.pid} on {before.host}" if before else "another process"
            raise RequestError(
                f"{self.path.parent.name.removesuffix('.blocks')} is being written by {who}: "
                "wait for it, stop it, or choose another output.path; preimage status tells how far it is"
            ) from None
        self._peak = 0
        self._lease = Lease.of_this_process(before)
        self._began = self._last = self._clock()
        self._already = self._beats = 0
        self._in_work = InWork()
        self._news = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._keep, name="preimage lease", daemon=True)
        self._beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say how it ended."""
        self._ended = True
        self._news.set()
        self._thread.join()
        if kind is None:
            self._lease = replace(self._lease, state="finished")
        elif issubclass(kind, KeyboardInterrupt):
            self._lease = replace(self._lease, state="stopped")
        else:
            said = " ".join(f"{error}".split()) or kind.__name__
            self._lease = replace(self._lease, state="failed", failures=self._lease.failures + 1, error=said)
        self._beat()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def working(self, label: str, done: int, total: int) -> None:
        """Note what is in work; the next beat tells, which comes at once where it is something new."""
        now = self._clock()
        new = label != self._lease.label
        if new:
            self._began, self._already = now, done
            self._in_work.clear()
        self._lease = replace(self._lease, label=label, done=done, total=total)
        self._note_rate(now)
        if new:
            self._news.set()

    def stepped(self, block: int, iteration: int, total: int) -> None:
        """Note how far a block is."""
        now = self._clock()
        self._in_work.stepped(block, iteration, total, now)
        self._note_rate(now)

    def _note_rate(self, now: float) -> None:
        """By the blocks of this process; before the first is done, by iterations, which are all that can tell."""
        self._last = now
        blocks, known = self._lease.done - self._already, self._in_work
        a_block = (now - self._began) / (blocks + known.part_here) if blocks else known.block_seconds
        self._lease = replace(self._lease, iterations=known.iterations, block_seconds=a_block)

    def finished_block(self, record: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Note what its worker held at most."""
        self._in_work.finished(facts["block"])
        self._peak = max(self._peak, int(facts.get("peak", 0)))

    def employed(self, workers: int) -> None:
        """Note how many others do the work."""
        self._lease = replace(self._lease, workers=workers)

    def failed(self, message: str) -> None:
        """Count an attempt that failed."""
        self._lease = replace(self._lease, failures=self._lease.failures + 1, error=" ".join(message.split()))
        self._in_work.interrupted()
        self._news.set()

    def _keep(self) -> None:
        while not self._ended:
            self._news.wait(PERIOD)
            self._news.clear()
            self._beat()

    def _beat(self) -> None:
        now = self._clock()
        self._beats += 1
        most = max(self._peak, 0 if self._lease.workers else peak())
        lease = replace(self._lease, beat=self._beats, clock=now, since=now - self._last, memory=held(), peak=most)
        with contextlib.suppress(OSError):
            write_atomically(self.path, json.dumps(asdict(lease)))


def _place() -> str:
    """What tells this machine, since it was started, from all others; a container is a machine."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return platform.node()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        return True
    return True


def _born(pid: int) -> int | None:
    """When a process began, in ticks since its machine did; None if it is gone, or where machines do not say."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[18]) if state not in "ZX" else None  # one that ended stays until its parent has asked for it


def _is_taken(lease: Lease, path: Path) -> bool:
    """Whether the process of a lease still drives the run."""
    if lease.state != "running" or (lease.pid == os.getpid() and lease.is_here):
        return False
    alive = lease.is_alive
    return lease.is_heard(path) if alive is None else alive


def _locked(path: Path) -> IO[str] | None:
    """The file, locked until it is closed or its process ends; None on a disk without locks: the lease alone tells.

    Raises
    ------
    BlockingIOError : another process has locked it.
    """
    try:
        file = path.open("w")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    except OSError:
        return None
    return file
