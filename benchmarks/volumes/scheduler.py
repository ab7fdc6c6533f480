"""A real `dask scheduler` with `dask worker` processes on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from preimage.volumes.engines.environment import worker_environment

DASK = Path(sys.executable).with_name("dask")
LOOPBACK = ("--host", "127.0.0.1")
PATIENCE = 120.0
"""Seconds that a scheduler has to be there, and processes to end."""


@dataclass(frozen=True)
class Scheduler:
    """Where it is found, and which process it is."""

    file: Path
    pid: int


@contextmanager
def scheduler(folder: Path, n_workers: int) -> Iterator[Scheduler]:
    """A scheduler and so many workers of one thread each, for a while."""
    folder.mkdir()
    file = folder / "scheduler.json"
    alone = ("--port", "0", "--dashboard-address", "127.0.0.1:0")
    processes = [_start(folder, "scheduler", (*LOOPBACK, *alone, "--scheduler-file", file))]
    try:
        _await(file, processes[0])
        for number in range(n_workers):
            here = ("--local-directory", folder / f"worker-{number}")
            options = ("--scheduler-file", file, "--nthreads", "1", "--no-nanny", "--no-dashboard")
            processes.append(_start(folder, "worker", (*LOOPBACK, *options, *here)))
        yield Scheduler(file, processes[0].pid)
    finally:
        for process in reversed(processes):
            _end(process)


def _start(folder: Path, what: str, options: Sequence[str | Path]) -> subprocess.Popen[bytes]:
    environment = worker_environment(1) if what == "worker" else dict(os.environ)
    with (folder / f"{what}.log").open("ab") as log:
        return subprocess.Popen([DASK, what, *options], env=environment, stdout=log, stderr=subprocess.STDOUT)


def _await(file: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while not _has_address(file):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"dask scheduler did not start: see {file.with_name('scheduler.log')}")
        time.sleep(0.05)


def _has_address(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_text())["address"])
    except (OSError, ValueError):  # not there, or not all of it
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
