"""Runs in processes of their own, watched from outside (Linux)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

MIB = 2**20
PREIMAGE = Path(sys.executable).with_name("preimage")
LAST_LINES = 3
"""Of what a run said that failed."""
PERIOD = 0.2
"""Seconds after which a run is looked at. To count ten thousand blocks takes some milliseconds."""


@dataclass(frozen=True)
class Sample:
    """What was seen at one moment.

    Attributes
    ----------
    done : blocks that were done.
    held : process → bytes that it held.
    """

    done: int
    held: Mapping[str, int]


@dataclass(frozen=True)
class Driven:
    """A `preimage run` that has ended.

    Attributes
    ----------
    wall_s, cpu_s : from start to end; CPU of it and of the processes that it has started.
    peak : bytes that the largest of them held at most.
    samples : from time to time.
    """

    wall_s: float
    cpu_s: float
    peak: int
    samples: list[Sample]


def drive(
    run_file: Path,
    *options: str,
    done: Callable[[], int] = lambda: 0,
    others: Mapping[str, int] | None = None,
) -> Driven:
    """Run a file by the command line, and look from time to time.

    Parameters
    ----------
    done : says how many blocks are done.
    others : further processes to look at, by name; the run's own is `driver`.
    """
    log = run_file.with_suffix(".log")
    began, samples = time.perf_counter(), []
    with log.open("wb") as file:
        process = subprocess.Popen([PREIMAGE, "run", run_file, *options], stdout=file, stderr=subprocess.STDOUT)
    watched = {"driver": process.pid, **(others or {})}
    try:
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            sample = Sample(done(), {name: memory(pid) for name, pid in watched.items()})
            if all(sample.held.values()):  # else one has just ended
                samples.append(sample)
            time.sleep(PERIOD)
    except BaseException:
        process.kill()
        process.wait()
        raise
    _, status, usage = ended
    process.returncode = os.waitstatus_to_exitcode(status)  # who asks it for its end would not learn it any more
    if process.returncode:
        said = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise RuntimeError(f"preimage run ended with code {process.returncode}: {' | '.join(said[-LAST_LINES:])}")
    wall = time.perf_counter() - began
    return Driven(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, samples)


def memory(pid: int, what: str = "VmRSS") -> int:
    """Bytes of resident memory, now (VmRSS) or at most (VmHWM); 0 of a process that is gone."""
    try:
        found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a new process, so that this one stays small."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
