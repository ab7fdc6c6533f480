"""kill -9 of workers and drivers: a run goes on with what is stored, and from the states of blocks in work."""

import re
import time

import pytest
from support.bitwise import computed
from support.dask_processes import Scheduler
from support.drivers import wait_for
from support.gated import HELD_AT, ITERATIONS

from preimage.volumes.lease import Lease

FROM = f"from iteration {HELD_AT} of {ITERATIONS}"


def numbers(blocks):
    return ", ".join(map(str, blocks))


def test_a_worker_process_is_killed(case, survived):
    case.gate.let_pass(2)
    driver = case.driver({"workers": 2})
    driver.until(case.are(done=2, held=2), "two blocks done and two held")
    done, held = case.marked(), case.held()
    killed = driver.children[0]
    killed.kill()
    driver.until(lambda: Lease.read(case.beside.lease).failures, "the failure")
    case.gate.open()
    said = driver.wait()
    assert f"failed: block {held[0]}" in said or f"failed: block {held[1]}" in said
    assert "its worker process was killed by SIGKILL" in said
    assert case.marked().items() >= done.items()
    lost = next(block for block in held if f"block {block} of stage 2" in said)
    assert case.beside.read(1, lost)["resumed_from"] == HELD_AT
    assert Lease.read(case.beside.lease).failures == 1
    survived(case, "kill -9 of a worker process", f"block {lost} in work", f"block {lost} {FROM}")


@pytest.mark.faults
def test_workers_that_die_again_and_again_fail_the_run_and_no_block_is_lost(case, survived):
    case.gate.let_pass(1)
    driver = case.driver({"workers": 2})
    driver.until(case.are(done=1, held=2), "a block done and two held")
    held, killed = case.held(), set()
    while driver.process.poll() is None:
        for child in set(driver.children) - killed:
            child.kill()
            killed.add(child)
        time.sleep(0.05)
    said = driver.wait(code=1)
    assert re.search(r"error: block \d of stage 2 failed 3 times, the last: .* killed by SIGKILL \(out of memory", said)
    assert "Finished blocks are kept" in said
    case.gate.open()
    case.run().execute()
    assert [case.beside.read(1, block)["resumed_from"] for block in held] == [HELD_AT] * 2
    survived(case, "workers die again and again", f"blocks {numbers(held)} in work", f"these {FROM}; 3 others")


@pytest.mark.faults
def test_a_worker_of_dask_is_killed_and_its_nanny_starts_another(case, scheduler, survived):
    scheduler.add_workers(2, nanny=True)
    case.gate.let_pass(2)
    driver = case.driver({"scheduler": scheduler.address})
    driver.until(case.are(done=2, held=2), "two blocks done and two held")
    done, held = case.marked(), case.held()
    scheduler.kill_worker(0)
    driver.until(lambda: Lease.read(case.beside.lease).failures, "the failure")
    case.gate.open()
    said = driver.wait()
    assert "is gone: others take over what it did" in said
    assert case.marked().items() >= done.items()
    resumed = [block for block in held if case.beside.read(1, block)["resumed_from"] == HELD_AT]
    assert len(resumed) == 1  # the other was never interrupted
    survived(case, "kill -9 of a dask worker", f"block {resumed[0]} in work", f"block {resumed[0]} {FROM}")


def kill_at_work(case, scheduler, driver):
    """Kill the one worker that is there while it does a block, and have another come in its place."""
    name, told = f"worker-{len(scheduler.workers)}", driver.said.count("is gone: others take over")
    driver.until(lambda: scheduler.employment().get(name, (0,))[0], "a block")
    time.sleep(0.5)
    scheduler.kill_worker(-1)
    driver.until(lambda: driver.said.count("is gone: others take over") > told, "word of it")
    scheduler.add_workers(1)


@pytest.mark.faults
def test_workers_of_dask_that_die_again_and_again_fail_the_run(case, scheduler, survived):
    """As with processes: the third death at one block ends the run, whatever the scheduler counts."""
    scheduler.add_workers(1)
    case.gate.let_pass(5)
    driver = case.driver({"scheduler": scheduler.address, "checkpoint": 600.0})
    driver.until(lambda: len(case.done()) == 5, "all blocks but one done")
    for _ in range(3):
        kill_at_work(case, scheduler, driver)
    said = driver.wait(code=1)
    assert re.search(r"error: block \d of stage 2 failed 3 times, the last: the worker tcp://\S+ is gone", said)
    case.gate.open()
    case.run().execute()
    survived(case, "dask workers die again and again", "a block in work", "that block")


@pytest.mark.faults
def test_blocks_that_only_waited_on_workers_that_died_are_not_to_blame(case, survived, tmp_path):
    """Also where the scheduler gives up all that a worker had at its first death."""
    folder = tmp_path / "strict"
    folder.mkdir()
    with Scheduler(folder, environment={"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}) as scheduler:
        scheduler.add_workers(1)
        case.gate.let_pass(1)
        driver = case.driver({"scheduler": scheduler.address, "stall": 600.0})
        for done in (1, 2, 3):
            driver.until(lambda: len(case.done()) == done, "a block done")  # noqa: B023
            kill_at_work(case, scheduler, driver)
            case.gate.let_pass(1)
        case.gate.open()
        driver.wait()
        survived(case, "three dask workers die, each at another block", "what was in work", "that from its state")


def test_a_driver_is_killed_inside_a_block(case, survived):
    case.gate.let_pass(3)
    driver = case.driver()
    driver.until(case.are(done=3, held=1), "three blocks done and one held")
    driver.kill()
    done, (held,) = case.marked(), case.held()
    case.gate.open()
    case.run().execute()
    again = computed(done, case.marked())
    assert again == [(1, block) for block in range(6) if (1, block) not in done]
    assert case.beside.read(1, held)["resumed_from"] == HELD_AT
    assert not case.held()
    survived(case, "kill -9 inside a block", f"block {held} in work", f"block {held} {FROM}; 2 that had not begun")


@pytest.mark.faults
def test_a_driver_of_processes_is_killed(case, survived):
    case.gate.let_pass(2)
    driver = case.driver({"workers": 2})
    driver.until(case.are(done=2, held=2), "two blocks done and two held")
    orphans = driver.children
    driver.kill()
    wait_for(lambda: not any(orphan.is_running() for orphan in orphans), "the end of the workers")
    done, held = case.marked(), case.held()
    assert len(held) == 2  # they saved what they had, and ended
    case.gate.open()
    case.driver({"workers": 2}).wait()
    assert computed(done, case.marked()) == [(1, block) for block in range(6) if (1, block) not in done]
    assert [case.beside.read(1, block)["resumed_from"] for block in held] == [HELD_AT] * 2
    survived(case, "kill -9 of a driver of processes", f"blocks {numbers(held)} in work", f"these {FROM}; 2 others")


@pytest.mark.faults
def test_a_driver_of_dask_is_killed(case, scheduler, survived):
    scheduler.add_workers(2)
    case.gate.let_pass(2)
    driver = case.driver({"scheduler": scheduler.address})
    driver.until(case.are(done=2, held=2), "two blocks done and two held")
    driver.kill()
    done, held = case.marked(), case.held()
    case.gate.open()  # the workers go on with what they were given
    wait_for(lambda: set(held) <= set(case.done()), "the end of what was in work")
    finished = case.marked()
    case.driver({"scheduler_file": str(scheduler.file)}).wait()
    assert computed(finished, case.marked()) == [(1, block) for block in range(6) if (1, block) not in finished]
    again = [block for _, block in computed(finished, case.marked())]
    assert set(done) < set(finished)
    survived(case, "kill -9 of a driver of dask", "nothing: its workers finished what they had", numbers(again))
