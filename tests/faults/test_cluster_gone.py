"""Nobody is there to do the work: the run fails with a clear error after a while, and goes on with a new cluster."""

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
