"""Nobody is there to do the work: the run fails with a clear error after a while, and goes on with a new cluster."""

import signal
import time

import pytest
from support.bitwise import computed
from support.dask_processes import Scheduler

pytestmark = pytest.mark.faults


def goes_on(case, survived, tmp_path, fault):
    done = case.marked()
    case.gate.open()
    folder = tmp_path / "new"
    folder.mkdir()
    with Scheduler(folder) as new:
        new.add_workers(2)
        case.driver({"scheduler": new.address}).wait()
    assert computed(done, case.marked()) == [(1, block) for block in range(6) if (1, block) not in done]
    survived(case, fault, "2 blocks in work", "these from their states; 2 others")


def test_all_workers_are_gone(case, scheduler, survived, tmp_path):
    scheduler.add_workers(2)
    case.gate.let_pass(2)
    driver = case.driver({"scheduler": scheduler.address, "stall": 3.0})
    driver.until(case.are(done=2, held=2), "two blocks done and two held")
    for i in range(2):
        scheduler.kill_worker(i)
    said = driver.wait(code=1)
    assert f"error: no worker is connected to {scheduler.address} since 3.0 s; the last were tcp://127.0.0.1:" in said
    assert "Remove worker addr" in said  # what the scheduler said of them last
    assert "Finished blocks are kept: start workers and run it again" in said
    goes_on(case, survived, tmp_path, "all dask workers are gone")


def test_workers_that_come_back_in_time_go_on(case, scheduler, survived):
    scheduler.add_workers(1)
    case.gate.let_pass(2)
    driver = case.driver({"scheduler": scheduler.address, "stall": 600.0})
    driver.until(case.are(done=2, held=1), "two blocks done and one held")
    (held,) = case.held()
    scheduler.kill_worker(0)
    driver.until(lambda: "is gone: others take over" in driver.said, "word of it")
    case.gate.open()
    scheduler.add_workers(1)
    driver.wait()
    survived(
        case, "all dask workers are gone, and others come", f"block {held} in work", f"block {held} from its state"
    )


def test_the_scheduler_is_killed(case, scheduler, survived, tmp_path):
    scheduler.add_workers(2)
    case.gate.let_pass(2)
    driver = case.driver({"scheduler": scheduler.address})
    driver.until(case.are(done=2, held=2), "two blocks done and two held")
    scheduler.kill()
    said = driver.wait(code=1)
    assert f"error: the scheduler at {scheduler.address} is gone. Finished blocks are kept: start a scheduler" in said
    assert "failed:" not in said  # no task is to blame
    goes_on(case, survived, tmp_path, "kill -9 of the scheduler")


# --- there, and silent ---------------------------------------------------------------------------------------------


@pytest.fixture
def stopped():
    """Stops a process, as a machine that hangs or a network that is cut does; it goes on afterwards."""
    those = []

    def stop(process):
        process.send_signal(signal.SIGSTOP)
        those.append(process)

    yield stop
    for process in those:
        process.send_signal(signal.SIGCONT)


def test_the_scheduler_is_stopped(case, scheduler, survived, stopped, tmp_path):
    scheduler.add_workers(2)
    case.gate.let_pass(2)
    driver = case.driver({"scheduler": scheduler.address, "stall": 3.0})
    driver.until(case.are(done=2, held=2), "two blocks done and two held")
    stopped(scheduler.process)
    said = driver.wait(code=1)
    assert f"error: the scheduler at {scheduler.address} does not answer since 3.0 s. Finished blocks are kept" in said
    assert "failed:" not in said  # no task is to blame
    goes_on(case, survived, tmp_path, "the scheduler is stopped (SIGSTOP)")


def test_ctrl_c_while_the_scheduler_is_stopped(case, scheduler, survived, stopped, tmp_path):
    """It ends the run within seconds, and workers that see the disk save what they do."""
    scheduler.add_workers(2)
    case.gate.let_pass(2)
    driver = case.driver({"scheduler": scheduler.address, "stall": 600.0})
    driver.until(case.are(done=2, held=2), "two blocks done and two held")
    stopped(scheduler.process)
    time.sleep(1)
    begun = time.monotonic()
    driver.interrupt()
    driver.wait(code=130)
    assert time.monotonic() - begun < 20  # a few, and what a busy machine takes to end a process
    assert len(case.held()) == 2
    goes_on(case, survived, tmp_path, "Ctrl-C while the scheduler is stopped")


def test_all_workers_are_stopped(case, scheduler, survived, stopped, tmp_path):
    """They are connected, and say nothing: who is silent is not at work."""
    scheduler.add_workers(2)
    case.gate.let_pass(2)
    driver = case.driver({"scheduler": scheduler.address, "stall": 3.0})
    driver.until(case.are(done=2, held=2), "two blocks done and two held")
    for process in scheduler.workers:
        stopped(process)
    said = driver.wait(code=1)
    assert f"error: no worker of {scheduler.address} does anything since 3.0 s: tcp://127.0.0.1:" in said
    assert "is silent" in said
    goes_on(case, survived, tmp_path, "all dask workers are stopped (SIGSTOP)")


def test_a_worker_is_stopped(case, scheduler, survived, stopped):
    """The scheduler misses its heartbeats after `worker-ttl`, and others take over."""
    scheduler.add_workers(2)
    case.gate.let_pass(2)
    driver = case.driver({"scheduler": scheduler.address, "stall": 600.0})
    driver.until(case.are(done=2, held=2), "two blocks done and two held")
    held = case.held()
    stopped(scheduler.workers[0])
    driver.until(lambda: "is gone: others take over" in driver.said, "word of it")
    case.gate.open()
    driver.wait()
    resumed = [block for block in held if case.beside.read(1, block)["resumed_from"]]
    assert len(resumed) == 1
    survived(
        case, "a dask worker is stopped (SIGSTOP)", f"block {resumed[0]} in work", f"block {resumed[0]} from its state"
    )


def test_workers_that_are_paused_do_not_keep_a_run_waiting(case, scheduler):
    """As dask pauses those that have less memory than they use."""
    scheduler.add_workers(1, "--memory-limit", "50 MB")
    driver = case.driver({"scheduler": scheduler.address, "stall": 3.0})
    said = driver.wait(code=2)
    assert f"error: no worker of the scheduler at {scheduler.address} is of use: tcp://127.0.0.1:" in said
    assert "is paused: it has less memory than it uses" in said
