"""Real `dask scheduler` and `dask worker` processes on this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from distributed import Client

from preimage.volumes.engines.environment import worker_environment
from preimage.volumes.tasks.task import _Kept
from support.drivers import ENVIRONMENT, end, wait_for

DASK = str(Path(sys.executable).with_name("dask"))
LOOPBACK = ("--host", "127.0.0.1")


@dataclass(frozen=True)
class Certificate:
    """A certificate that is its own authority: who has it trusts who has it.

    Attributes
    ----------
    ca, cert, key : as dask and `[compute.tls]` want them.
    """

    ca: Path
    cert: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Certificate:
        """A new one, by openssl."""
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("there is no openssl to make a certificate")
        cert, key = folder / "cert.pem", folder / "key.pem"
        new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=preimage")
        subprocess.run([openssl, *new, "-keyout", key, "-out", cert], check=True, capture_output=True)
        return cls(cert, cert, key)

    @property
    def settings(self) -> dict[str, str]:
        """As `[compute.tls]`."""
        return {name: str(path) for name, path in vars(self).items()}


class Scheduler:
    """A `dask scheduler` on loopback, at a port that is free, and its workers.

    Attributes
    ----------
    file : from which its address is read.
    workers : the processes that were started here.
    """

    def __init__(self, folder: Path, tls: Certificate | None = None, environment=None) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.tls = ("--tls-ca-file", tls.ca, "--tls-cert", tls.cert, "--tls-key", tls.key) if tls else ()
        protocol = ("--protocol", "tls") if tls else ()
        self.workers: list[subprocess.Popen] = []
        ports = ("--port", "0", "--dashboard-address", "127.0.0.1:0")
        arguments = (*LOOPBACK, *ports, "--scheduler-file", self.file, *protocol, *self.tls)
        settings = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s", **(environment or {})}
        self.process = self._start("scheduler", arguments, settings)
        wait_for(self._is_there, "a scheduler")

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        for process in (*self.workers, self.process):
            end(process)

    def _is_there(self):
        assert self.process.poll() is None, self.said("scheduler")
        try:
            return bool(json.loads(self.file.read_text())["address"])
        except (FileNotFoundError, ValueError):
            return False

    @property
    def address(self) -> str:
        return json.loads(self.file.read_text())["address"]

    def add_workers(self, n=1, *options, nanny=False, **environment) -> None:
        """Start workers with one thread each; without a nanny a worker is one process that nobody starts again."""
        kept = ("--nanny",) if nanny else ("--no-nanny",)
        for _ in range(n):
            name = f"worker-{len(self.workers) + 1}"
            options_here = (
                "--scheduler-file",
                self.file,
                "--name",
                name,
                "--nthreads",
                "1",
                "--memory-limit",
                "0",
                "--no-dashboard",
            )
            folder = ("--local-directory", self.folder / name)
            process = self._start(
                name,
                (*LOOPBACK, *options_here, *folder, *kept, *self.tls, *options),
                {**worker_environment(1), **ENVIRONMENT, **environment},
            )
            self.workers.append(process)

    def worker_process(self, i: int) -> psutil.Process:
        """The process that works: itself, or what its nanny started."""
        process = psutil.Process(self.workers[i].pid)
        children = [child for child in process.children() if "spawn_main" in " ".join(child.cmdline())]
        return children[0] if children else process

    def kill_worker(self, i: int) -> None:
        """Kill -9 of what works."""
        self.worker_process(i).send_signal(signal.SIGKILL)

    def kill(self) -> None:
        """Kill -9 of the scheduler."""
        self.process.kill()
        self.process.wait()

    @property
    def is_at_work(self) -> bool:
        """Whether a worker is in the middle of a task, be it one that nobody waits for any more."""
        with Client(self.address, set_as_default=False) as client:
            return any(client.run(_is_at_work).values())

    def employment(self) -> dict[str, tuple[int, int, str]]:
        """Of every worker by its name: how many tasks it does at this moment, was given, and the run it did any of."""
        with Client(self.address, set_as_default=False) as client:
            return dict(client.run(_employment).values())

    def said(self, name: str) -> str:
        """What a process said."""
        return (self.folder / f"{name}.log").read_text()

    def _start(self, name, arguments, environment):
        inherited = {**os.environ, **ENVIRONMENT}
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [DASK, name.partition("-")[0], *map(str, arguments)],
                env={**inherited, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _is_at_work() -> bool:
    return _Kept.turn.locked()


def _employment(dask_worker):
    given = [key for key in dask_worker.state.tasks if str(key).startswith("perform")]
    return dask_worker.name, (len(dask_worker.state.executing), len(given), _Kept.run)


def environment_and_threads(names):
    """Variables of the environment of this process, and how many threads torch has; for a worker to be asked."""
    import torch

    return {name: os.environ.get(name) for name in names}, torch.get_num_threads()
