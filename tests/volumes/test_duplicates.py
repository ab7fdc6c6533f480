"""A block that is done twice, by attempts that do not know of each other, and workers that outlive their run."""

import json
import threading

import numpy as np
import pytest
from support.crashing import CrashAfter

from preimage.errors import PluginError
from preimage.volumes import stores
from preimage.volumes.markers import Beside
from preimage.volumes.planning.plan import ArrayPlan
from preimage.volumes.progress import Progress
from preimage.volumes.stores import open_dataset
from preimage.volumes.tasks import block
from preimage.volumes.tasks.task import Task
from preimage.volumes.tasks.worker import open_worker

BLOCKS = {"blocks": {"x": 4}}


def estimate(run):
    return open_dataset(run.output.path)["estimate"].values


@pytest.mark.parametrize("stage", [0, 1], ids=["handed on", "solved"])
def test_what_was_stored_meanwhile_is_left_alone(make_run, monkeypatch, stage):
    run = make_run(compute=BLOCKS, progress=CrashAfter(2))
    with pytest.raises(RuntimeError, match="crash"):
        run.execute()
    Beside(run.output.path).unmark(stage, [0])
    slow, fast = (open_worker(run.output.path, run.builder, resolved=run.resolved) for _ in range(2))
    real, begun, go_on = type(slow).prepared, threading.Event(), threading.Event()

    def held(worker, *arguments):
        found = real(worker, *arguments)
        if worker is slow:
            begun.set()
            assert go_on.wait(30)
        return found

    monkeypatch.setattr(type(slow), "prepared", held)
    found = []
    late = threading.Thread(target=lambda: found.append(slow.do(Task("block", stage, 0))))
    late.start()
    assert begun.wait(30)
    first = fast.do(Task("block", stage, 0))
    monkeypatch.setattr(block, "store_region", lambda *_: pytest.fail("it is stored again"))
    marker = run.beside.marker(stage, 0).stat()
    go_on.set()
    late.join()
    assert json.loads(json.dumps(found)) == json.loads(json.dumps([first]))
    assert run.beside.marker(stage, 0).stat() == marker


@pytest.fixture
def shards(tmp_path):
    """A store with an array of two shards, both written."""
    group = stores.create_group(tmp_path / "s.zarr", {stores.ATTRIBUTE: {"schema": stores.SCHEMA}})
    stores.create_array(group, "y", ArrayPlan(("x",), (8,), "float32", (2,), (4,)), compressed=False)
    for start in (0, 4):
        store(tmp_path / "s.zarr", start, 1)
    return tmp_path / "s.zarr"


def store(path, start, value):
    return block.store_region(path, "y", ("x",), {"x": (start, start + 4)}, np.full(4, value, np.float32))


def test_a_shard_is_there_at_every_moment_while_it_is_stored_again(shards, monkeypatch):
    """Another stage reads it once the first attempt has marked it."""
    monkeypatch.setattr(stores, "remove_objects", lambda *_: pytest.fail("there is a moment without it"))
    store(shards, 4, 2)
    assert open_dataset(shards)["y"].values.tolist() == [1] * 4 + [2] * 4


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: raw[:5], lambda raw: b"", lambda raw: b"x" * 60])
def test_a_damaged_shard_is_replaced(shards, damage):
    path = shards / "y" / "c" / "1"
    path.write_bytes(damage(path.read_bytes()))
    _, _, objects = store(shards, 4, 2)
    assert objects == {"c/1": path.stat().st_size}
    assert open_dataset(shards)["y"].values.tolist() == [1] * 4 + [2] * 4


def test_values_are_told_from_others_as_they_are_stored(shards):
    values = np.array([0.1, 0.2, 0.3, 0.4])
    _, found, _ = block.store_region(shards, "y", ("x",), {"x": (0, 4)}, values)
    assert found == block.digest(open_dataset(shards)["y"].values[:4]) != block.digest(values)


def test_values_that_do_not_fit_what_was_described_are_refused(shards):
    with pytest.raises(PluginError, match="y is described as float32, and its values are complex64: mend what makes"):
        block.store_region(shards, "y", ("x",), {"x": (0, 4)}, np.zeros(4, np.complex64))


class Orphan(Progress):
    """A worker of a run that was replaced, which marks a block as soon as the new run is there."""

    def __init__(self, run, facts):
        self.beside, self.facts = Beside(run.output.path, "the run before"), facts

    def started(self, record):
        self.beside.mark(1, 1, self.facts)


def test_a_marker_of_a_run_that_was_replaced_is_none(make_run):
    run = make_run(compute=BLOCKS)
    run.execute()
    expected, facts = estimate(run), run.beside.read(1, 1)
    again = make_run(compute=BLOCKS, progress=Orphan(run, facts))
    again.execute(fresh=True)
    assert np.array_equal(estimate(again), expected)
    Beside(run.output.path, "the run before").mark(1, 2, facts)
    assert Beside(run.output.path, again.beside.run).read(1, 2) is None
    assert again.beside.sound(1) == {0, 1}
