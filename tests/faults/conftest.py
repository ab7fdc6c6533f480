"""Runs that something happens to, each compared bit for bit with one that nothing happened to."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import safetensors
from support import gated, toy_chain
from support.bitwise import assert_bitwise_equal, marked
from support.dask_processes import Scheduler
from support.drivers import Driver, end, wait_for

from preimage.volumes.driver import Run
from preimage.volumes.markers import Beside
from preimage.volumes.progress import Progress
from preimage.volumes.stores import write_dataset

PROPERTY = "preimage.fault"
TITLES = ("fault", "what was lost", "what was computed again", "the result")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """A folder with a dataset `in.zarr`, and a run of it, `out.zarr`, in one process to which nothing happened."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_dataset(toy_chain.example(), folder / "in.zarr")
    gate = gated.Gate(folder / "gate")
    gate.open()
    recipe = gated.recipe(folder / "in.zarr", folder / "out.zarr", gate.folder)
    Run(gated.build(recipe), "support.gated:build", recipe).execute()
    return folder


def _iteration(state):
    """The iteration of a saved state; None if it has gone since."""
    try:
        with safetensors.safe_open(state, "pt") as file:
            return json.loads(file.metadata()["preimage"])["numbers"]["state.iteration"]
    except FileNotFoundError:
        return None


@dataclass
class Case:
    """A run of the same dataset that something happens to.

    Attributes
    ----------
    folder : where it is; may be on a disk of its own.
    logs : where its gate is, and what its drivers said.
    """

    folder: Path
    source: Path
    logs: Path
    seed: int = 0
    name: str = "out.zarr"
    drivers: list[Driver] = field(default_factory=list)
    numbers: itertools.count = field(default_factory=itertools.count)

    @property
    def output(self):
        return self.folder / self.name

    @property
    def beside(self):
        return Beside(self.output)

    @property
    def gate(self):
        return gated.Gate(self.logs / "gate")

    def recipe(self, **compute):
        return gated.recipe(self.source, self.output, self.gate.folder, self.seed, **compute)

    def driver(self, compute=None, **how):
        """A process that drives the run."""
        driver = Driver(self.recipe(**(compute or {})), self.logs / f"driver-{next(self.numbers)}.log", **how)
        self.drivers.append(driver)
        return driver

    def run(self, progress=None, **compute):
        """The run in this process, not begun."""
        recipe = self.recipe(**compute)
        return Run(gated.build(recipe), "support.gated:build", recipe, progress or Progress())

    def interrupted(self, done):
        """Run in this process until so many blocks are done and one is held, then press Ctrl-C; returns which."""
        self.gate.let_pass(done)

        def press():
            wait_for(self.are(done, held=1), "a block held")
            os.kill(os.getpid(), signal.SIGINT)

        pressing = threading.Thread(target=press)
        pressing.start()
        with pytest.raises(KeyboardInterrupt):
            self.run().execute()
        pressing.join()
        (held,) = self.held()
        return held

    def done(self):
        """Blocks of the solve that are done."""
        return self.beside.done(1)

    def held(self):
        """Blocks of the solve that are held at the gate, with their states saved there."""
        paths = (self.beside.folder / "1").glob("[0-9]*.state.safetensors")
        found = {int(path.name.partition(".")[0]) for path in paths if _iteration(path) == gated.HELD_AT}
        return sorted(found - set(self.done()))

    def are(self, done, held):
        """Whether so many blocks are done, and so many held."""
        return lambda: len(self.done()) == done and len(self.held()) == held

    def marked(self):
        return marked(self.output)


@pytest.fixture
def case(tmp_path, undisturbed, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # so that worker processes find the toys
    found = Case(tmp_path, undisturbed / "in.zarr", tmp_path)
    yield found
    for driver in found.drivers:
        end(driver.process)


@pytest.fixture
def another(case):
    """Makes the run with another seed, in the place of the first or in one of its own."""

    def make(seed, folder=None):
        logs = case.logs / f"seed-{seed}"
        logs.mkdir()
        return replace(case, seed=seed, folder=folder or logs, logs=logs)

    return make


class Told(Progress):
    """Keeps what a reader should know."""

    def __init__(self):
        self.notes = []

    def noted(self, message):
        self.notes.append(message)


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def scheduler(tmp_path):
    """A `dask scheduler` without workers."""
    folder = tmp_path / "dask"
    folder.mkdir()
    with Scheduler(folder) as started:
        yield started


@pytest.fixture
def record_fault(record_property):
    """Has a line of the table: what happened, what was lost, what was computed again; the result is bitwise equal."""

    def record(fault, lost, again):
        row = (fault, lost, again, "bitwise equal")
        record_property(PROPERTY, list(row))
        print(" | ".join(row))  # noqa: T201 - shown by `pytest -s`

    return record


@pytest.fixture
def survived(undisturbed, record_fault):
    """Says what a run survived, after comparing its result bit for bit with the undisturbed one."""

    def compare(case, fault, lost, again):
        assert_bitwise_equal(case.output, undisturbed / "out.zarr")
        record_fault(fault, lost, again)

    return compare


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one megabyte, mounted for the test.

    Mounting needs the rights of root in some namespace; where nobody may, the same faults are tried by simulated
    errors alone, in `tests/volumes/test_run.py`.
    """
    place = tmp_path / "disk"
    place.mkdir()
    if shutil.which("mount") is None or _mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", place).returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def _mount(*arguments):
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False)


@pytest.fixture
def remount(small_disk):
    """Makes the mounted disk read-only ("ro"), or not ("rw")."""

    def make(how):
        done = _mount("-o", f"remount,{how}", small_disk)
        assert done.returncode == 0, done.stderr.decode()

    return make


def pytest_terminal_summary(terminalreporter):
    """The table of all faults, one line each."""
    reports = [*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())]
    rows = [
        value
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == PROPERTY and report.when == "call"
    ]
    if rows:
        terminalreporter.section("faults that were survived")
        widths = [max(len(row[i]) for row in [TITLES, *rows]) for i in range(len(TITLES))]
        for row in [TITLES, *rows]:
            line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
            terminalreporter.write_line(line.rstrip())
