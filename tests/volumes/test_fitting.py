"""Fits: each is done once a run, whatever ends it or repeats it, and what it found is kept whole."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import xarray as xr
from support import toy_chain
from support.crashing import CrashAfter
from support.drivers import ENVIRONMENT, PATIENCE

from preimage.errors import RunError
from preimage.volumes import stores
from preimage.volumes.progress import Progress
from preimage.volumes.stores import open_dataset
from preimage.volumes.tasks import fitting
from preimage.volumes.tasks.task import Task
from preimage.volumes.tasks.worker import open_worker

BLOCKS = {"blocks": {"x": 4}}


def estimate(run):
    return open_dataset(run.output.path)["estimate"].values


@pytest.fixture
def whole(make_run):
    """The estimate of a run to which nothing happened."""
    run = make_run("whole.zarr", compute=BLOCKS, gain=True)
    run.execute()
    return estimate(run)


@pytest.fixture
def crashed(make_run):
    """A run that ended after the first of its three blocks."""
    run = make_run(compute=BLOCKS, gain=True, progress=CrashAfter(2))
    with pytest.raises(RuntimeError, match="crash"):
        run.execute()
    return run


class Told(Progress):
    def __init__(self):
        self.notes = []

    def noted(self, message):
        self.notes.append(message)


def files(folder):
    return {path.relative_to(folder): path.stat().st_ino for path in folder.rglob("*")}


def test_of_two_attempts_at_a_fit_the_first_to_end_is_kept(crashed, monkeypatch):
    """Another may have given the second up for dead, and readers have begun."""
    crashed.beside.unmark("fits", [1])
    shutil.rmtree(stores.calibration(crashed.output.path, 1))
    slow, fast = (open_worker(crashed.output.path, crashed.builder, resolved=crashed.resolved) for _ in range(2))
    real, begun, go_on = stores.open_for_writing, threading.Event(), threading.Event()

    def held(path, name):
        if threading.current_thread() is late:
            begun.set()
            go_on.wait()
        return real(path, name)

    monkeypatch.setattr(stores, "open_for_writing", held)
    found = []
    late = threading.Thread(target=lambda: found.append(slow.do(Task("fit", 1, 1))))
    late.start()
    begun.wait()
    first = fast.do(Task("fit", 1, 1))
    before = files(stores.calibration(crashed.output.path, 1))
    go_on.set()
    late.join()
    assert files(stores.calibration(crashed.output.path, 1)) == before
    assert found[0]["digests"] == first["digests"] != {}
    assert crashed.beside.done("fits") == [0, 1]


def test_a_run_that_goes_on_fits_nothing_again_also_where_nothing_was_found(crashed, make_run, whole, monkeypatch):
    assert crashed.beside.read("fits", 0)["digests"] == {}
    monkeypatch.setattr(fitting, "fitted_now", lambda *_: pytest.fail("it is fitted again"))
    run = make_run(compute=BLOCKS, gain=True)
    run.execute()
    assert np.array_equal(estimate(run), whole)


def test_nothing_is_read_for_a_preparation_that_fits_nothing(make_run, monkeypatch):
    read, real = [], fitting.located
    monkeypatch.setattr(fitting, "located", lambda dataset, *where: read.append(dataset) or real(dataset, *where))
    run = make_run(compute=BLOCKS, gain=True)
    run.execute()
    assert run.beside.done("fits") == [0, 1]
    assert len(read) == 1  # for the gain


def test_what_was_not_fitted_is_an_error_and_not_nothing(crashed):
    crashed.beside.unmark("fits", [1])
    worker = open_worker(crashed.output.path, crashed.builder, resolved=crashed.resolved)
    with pytest.raises(RunError, match="what preparation 1 was fitted to is gone .*: run the same command again"):
        worker.fitted(1)


def lose_marker(run, calibration):
    run.beside.marker("fits", 1).unlink()


def lose_all(run, calibration):
    shutil.rmtree(calibration)


def lose_chunk(run, calibration):
    (calibration / "gain" / "c").unlink()


def change(run, calibration):
    stores.open_for_writing(calibration, "gain")[...] = 7


@pytest.mark.parametrize("ends", ["crashed", "finished"])
@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lose_marker, "its marker is gone"),
        (lose_all, "gain/c is gone"),
        (lose_chunk, "gain/c is gone"),
        (change, "gain has other values"),
    ],
)
def test_a_fit_that_is_lost_is_done_again(crashed, make_run, whole, ends, damage, why):
    if ends == "finished":
        make_run(compute=BLOCKS, gain=True).execute()
    toy_chain.Gain.fits = 0
    damage(crashed, stores.calibration(crashed.output.path, 1))
    told = Told()
    run = make_run(compute=BLOCKS, gain=True, progress=told)
    assert run.execute(verify=damage is change)["finished"]
    known = ends == "finished" or damage is not lose_marker  # else nobody can know that there was one
    assert told.notes == [f"the fit of preparation 1 is done again: {why}"] * known
    assert toy_chain.Gain.fits == 1
    assert np.array_equal(estimate(run), whole)


DYING = """
import json, os, signal, sys
from support import toy_chain
from preimage.volumes import stores
from preimage.volumes.driver import Run
from preimage.volumes.tasks import fitting

recipe, where = json.loads(sys.argv[1])
real = stores.write_dataset

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

def write_and_die(*arguments):
    real(*arguments)
    die()

if where == "before it has its name":
    stores.write_dataset = write_and_die
else:
    fitting.described = die
Run(toy_chain.build(recipe), "support.toy_chain:build", recipe).execute()
"""


@pytest.mark.parametrize("where", ["before it has its name", "before it has its marker"])
def test_a_run_that_is_killed_while_it_stores_a_fit_goes_on(stored, tmp_path, make_run, whole, where):
    recipe = toy_chain.recipe(stored, tmp_path / "out.zarr", BLOCKS, gain=True)
    command = [sys.executable, "-c", DYING, json.dumps([recipe, where])]
    assert (
        subprocess.run(command, env={**os.environ, **ENVIRONMENT}, timeout=PATIENCE, check=False).returncode
        == -signal.SIGKILL
    )
    run = make_run(compute=BLOCKS, gain=True)
    run.execute()
    assert [path.name for path in (run.output.path / "calibration").iterdir() if path.is_dir()] == ["1"]
    assert np.array_equal(estimate(run), whole)


def test_a_dataset_of_text_is_told_from_another(tmp_path):
    from preimage.volumes.verifying import described

    for name, coils in {"a": ["left", "right"], "b": ["left", "wrong"]}.items():
        stores.write_dataset(xr.Dataset(coords={"coil": coils}), tmp_path / name)
    assert described(tmp_path / "a")["digests"] != described(tmp_path / "b")["digests"]
