"""The lease: a small file beside a run store in which the process that writes the store says how it goes.

It says so every few seconds. No clock is trusted: beats are counted, durations are differences of one monotonic clock,
and whether the process is there is asked of the machine that it runs on. From another machine only the count tells.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from preimage.files import write_atomically
from preimage.volumes.progress import Progress

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
    block_seconds : seconds that a block of it took this process, waiting for others included; None before the first.
    since : seconds since the last block of it, or since it began.
    memory, peak : bytes of the process, now and at most.
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
    block_seconds: float | None = None
    since: float = 0.0
    memory: int = 0
    peak: int = 0
    failures: int = 0
    error: str = ""

    @classmethod
    def of_this_process(cls, failures: int = 0) -> Lease:
        """That of a process which begins."""
        pid = os.getpid()
        return cls(platform.node(), _place(), pid, _born(pid), failures=failures)

    @classmethod
    def read(cls, path: Path) -> Lease | None:
        """The lease that is stored; None if there is none that can be read."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def is_here(self) -> bool:
        """Whether its process is one of this machine, so that the machine can be asked."""
        return self.place == _place()

    @property
    def is_alive(self) -> bool | None:
        """Whether its process is there; None if only its beats can tell."""
        return _born(self.pid) == self.born and _exists(self.pid) if self.is_here else None

    @property
    def silence(self) -> float | None:
        """Seconds since its last beat, if that is known here."""
        return max(0.0, time.monotonic() - self.clock) if self.is_here else None

    @property
    def is_silent(self) -> bool:
        """Whether beats are missing, as far as that is known here."""
        return (self.silence or 0.0) > MISSED * self.period


class Heartbeat(Progress):
    """Keeps the lease of a run for as long as its process is at work, by a thread of its own.

    Where it cannot be written the run goes on: what matters is told by the markers.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock

    def __enter__(self) -> Self:
        """Say that the run is in work."""
        before = Lease.read(self.path)
        self._lease = Lease.of_this_process(before.failures if before else 0)
        self._began = self._last = self._clock()
        self._already = self._beats = 0
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

    def working(self, label: str, done: int, total: int) -> None:
        """Note what is in work; the next beat tells, which comes at once where it is something new."""
        now = self._clock()
        new = label != self._lease.label
        if new:
            self._began, self._already = now, done
        self._last = now
        blocks = done - self._already
        a_block = (now - self._began) / blocks if blocks else None
        self._lease = replace(self._lease, label=label, done=done, total=total, block_seconds=a_block)
        if new:
            self._news.set()

    def _keep(self) -> None:
        while not self._ended:
            self._news.wait(PERIOD)
            self._news.clear()
            self._beat()

    def _beat(self) -> None:
        now = self._clock()
        memory, peak = _memory()
        self._beats += 1
        lease = replace(self._lease, beat=self._beats, clock=now, since=now - self._last, memory=memory, peak=peak)
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


def _memory() -> tuple[int, int]:
    """Bytes that this process holds, and held at most."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return largest, largest
    now = pages * resource.getpagesize()
    return now, max(now, largest)
