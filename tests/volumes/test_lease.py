"""The lease says how a run goes, and whether its process is there, without trusting a clock."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from preimage.errors import RunError
from preimage.volumes import lease
from preimage.volumes.lease import Heartbeat, Lease
from preimage.volumes.progress import Progress


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lease.json"


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self):
        return self.now


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_beats_while_the_process_is_at_work(path, monkeypatch):
    monkeypatch.setattr(lease, "PERIOD", 0.01)
    with Heartbeat(path):
        first = Lease.read(path)
        assert (first.state, first.pid, first.is_here, first.is_alive) == ("running", os.getpid(), True, True)
        assert first.memory > 2**20
        until(lambda: Lease.read(path).beat > first.beat + 2)
    last = Lease.read(path)
    assert last.state == "finished"
    time.sleep(0.1)
    assert Lease.read(path) == last  # nobody beats after the end


def test_something_new_in_work_is_told_at_once(path):
    with Heartbeat(path) as heartbeat:  # whose period is five seconds
        started = time.monotonic()
        heartbeat.working("fista", 3, 8)
        until(lambda: Lease.read(path).label == "fista")
        assert time.monotonic() - started < lease.PERIOD / 2
        assert (Lease.read(path).done, Lease.read(path).total) == (3, 8)


def test_the_rate_is_that_of_this_process_alone(path):
    clock = Clock()
    with Heartbeat(path, clock) as heartbeat:
        heartbeat.working("fista", 3, 8)  # three were done before
        clock.now += 4
        heartbeat.working("fista", 4, 8)
        clock.now += 2
        heartbeat.working("fista", 5, 8)
        clock.now += 0.5
    found = Lease.read(path)
    assert found.block_seconds == pytest.approx(3.0)
    assert found.since == pytest.approx(0.5)


def test_within_the_first_block_its_iterations_tell_the_rate(path):
    clock = Clock()
    with Heartbeat(path, clock) as heartbeat:
        heartbeat.working("fista", 0, 2)
        clock.now += 30  # to read and prepare it
        heartbeat.stepped(0, 1, 50)
        assert heartbeat._lease.block_seconds is None
        clock.now += 4
        heartbeat.stepped(0, 11, 50)
        clock.now += 0.5
    found = Lease.read(path)
    assert (found.iterations, found.part) == ([[11, 50]], 0.22)
    assert (found.block_seconds, found.since) == (pytest.approx(20.0), pytest.approx(0.5))


def test_after_it_blocks_tell_it_with_the_part_that_is_done_of_the_next(path):
    clock = Clock()
    with Heartbeat(path, clock) as heartbeat:
        heartbeat.working("fista", 0, 3)
        heartbeat.stepped(0, 1, 50)
        clock.now += 20
        heartbeat.finished_block({}, {"block": 0})
        heartbeat.working("fista", 1, 3)
        assert (heartbeat._lease.iterations, heartbeat._lease.block_seconds) == ([], 20.0)
        heartbeat.stepped(1, 1, 50)
        clock.now += 10
        heartbeat.stepped(1, 26, 50)
        assert heartbeat._lease.block_seconds == pytest.approx(20.0)  # 30 s for a block and a half
        heartbeat.working("another", 0, 1)
    assert (Lease.read(path).iterations, Lease.read(path).block_seconds) == ([], None)


def test_a_new_stage_has_no_rate_yet(path):
    clock = Clock()
    with Heartbeat(path, clock) as heartbeat:
        heartbeat.working("one", 0, 2)
        clock.now += 4
        heartbeat.working("one", 2, 2)
        heartbeat.working("two", 0, 5)
    assert (Lease.read(path).label, Lease.read(path).block_seconds) == ("two", None)


def test_what_failed_is_timed_anew(path):
    clock = Clock()
    with Heartbeat(path, clock) as heartbeat:
        heartbeat.working("fista", 0, 1)
        heartbeat.stepped(0, 1, 50)
        heartbeat.failed("block 0: its worker died")
        clock.now += 60  # until another is there
        heartbeat.stepped(0, 6, 50)
        clock.now += 4
        heartbeat.stepped(0, 16, 50)
    assert Lease.read(path).block_seconds == pytest.approx(20.0)


def test_failures_are_counted_over_attempts_and_stops_are_none(path):
    for _ in range(2):
        with pytest.raises(RunError), Heartbeat(path):
            raise RunError("the disk\nis full")
    with pytest.raises(KeyboardInterrupt), Heartbeat(path):
        raise KeyboardInterrupt
    found = Lease.read(path)
    assert (found.state, found.failures, found.error) == ("stopped", 2, "the disk is full")
    with pytest.raises(ZeroDivisionError), Heartbeat(path):
        raise ZeroDivisionError
    found = Lease.read(path)
    assert (found.state, found.failures, found.error) == ("failed", 3, "ZeroDivisionError")


def test_a_run_goes_on_where_the_lease_cannot_be_written(tmp_path):
    with Heartbeat(tmp_path / "gone" / "lease.json") as heartbeat:
        heartbeat.working("fista", 0, 1)
    assert Lease.read(tmp_path / "gone" / "lease.json") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"pid": 3}', '{"unknown": 1}'])
def test_what_is_no_lease_is_none(path, text):
    path.write_text(text)
    assert Lease.read(path) is None


PROCESS = "import sys, time; from pathlib import Path; from preimage.volumes.lease import Heartbeat\n"


def test_a_process_that_is_killed_is_gone_even_before_its_parent_knows(path):
    code = f"{PROCESS}with Heartbeat(Path(sys.argv[1])): time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)])
    until(path.exists)
    found = Lease.read(path)
    assert (found.pid, found.is_alive) == (process.pid, True)
    process.kill()
    until(lambda: Lease.read(path).is_alive is False)  # a zombie: nobody has waited for it
    process.wait()
    assert Lease.read(path).is_alive is False
    assert Lease.read(path).state == "running"  # it could not say more


def test_another_process_with_the_same_number_is_not_it(path):
    with Heartbeat(path):
        found = Lease.read(path)
    assert found.is_alive
    assert not replace(found, born=found.born - 1).is_alive


def test_of_another_machine_nothing_is_known_here():
    there = replace(Lease.of_this_process(), place="elsewhere")
    assert (there.is_here, there.is_alive, there.silence, there.is_silent) == (False, None, None, False)


def test_beats_that_are_missing_are_a_silence():
    now = time.monotonic()
    found = replace(Lease.of_this_process(), clock=now, period=5.0)
    assert not found.is_silent
    assert replace(found, clock=now - 60).is_silent
    assert replace(found, clock=now - 60).silence == pytest.approx(60, abs=1)


def test_a_run_keeps_its_lease_and_tells_others_too(make_run, tmp_path):
    class Watcher(Progress):
        blocks = 0

        def finished_block(self, record, facts):
            self.blocks += 1

    watcher = Watcher()
    run = make_run(progress=watcher)
    run.execute()
    found = Lease.read(run.beside.lease)
    assert found.state == "finished"
    assert watcher.blocks == sum(stage.n_blocks for stage in run.plan.stages)
    for index, stage in enumerate(run.plan.stages):
        assert run.beside.done(index) == list(range(stage.n_blocks))
    assert json.loads(run.beside.lease.read_text())["failures"] == 0
