"""Drivers of runs in processes of their own, which tests kill, interrupt and watch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

TESTS = Path(__file__).parents[1]
ENVIRONMENT = {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
"""What a process needs to find the toys."""
PATIENCE = 180
"""Seconds: on a busy machine a process takes half a minute until it is there."""

SCRIPT = """
import json, sys
from support import gated
from preimage.errors import PreimageError
from preimage.volumes.driver import Run
from preimage.volumes.memory import peak
from preimage.volumes.progress import Progress

class Told(Progress):
    def noted(self, message):
        print("noted:", message, flush=True)

    def failed(self, message):
        print("failed:", message, flush=True)

recipe, options = json.loads(sys.argv[1])
try:
    Run(gated.build(recipe), "support.gated:build", recipe, Told()).execute(**options)
except PreimageError as error:
    print(f"error: {error}", flush=True)
    sys.exit(error.exit_code)
except KeyboardInterrupt:
    print("stopped", flush=True)
    sys.exit(130)
print("peak:", peak(), flush=True)
"""


def wait_for(condition, what="it", patience=PATIENCE):
    """Wait until a condition holds, and return what it is then."""
    until = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not happen within {patience} s")
        time.sleep(0.02)
    return found


def end(process):
    """Kill a process and all that it has started."""
    try:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


class Driver:
    """A process that drives a run.

    Attributes
    ----------
    process : leads a group of its own, as what a shell starts does.
    """

    def __init__(self, recipe, log: Path, environment=None, script=SCRIPT, before=(), **options) -> None:
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [*before, sys.executable, "-c", script, json.dumps([recipe, options])],
                env={**os.environ, **ENVIRONMENT, **(environment or {})},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def children(self) -> list[psutil.Process]:
        """Its worker processes."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def until(self, condition, what="it"):
        """Wait until a condition holds, and return what it is then; an error if the driver ends before."""

        def holds():
            return condition() or self.process.poll() is not None

        wait_for(holds, f"{what}: {self.said}")
        found = condition()
        assert found, f"it ended before {what} happened: {self.said}"
        return found

    def kill(self) -> None:
        """Kill -9, this process alone."""
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> None:
        """Ctrl-C, which a terminal sends to all that were started with it."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self, code=0) -> str:
        """Wait for its end, and return what it said."""
        try:
            ended = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end: {self.said}") from None
        assert ended == code, self.said
        assert "Traceback" not in self.said, self.said
        return self.said
