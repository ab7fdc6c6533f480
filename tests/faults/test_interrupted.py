"""Ctrl-C: what is in work is saved wherever it is done, and the same command goes on."""

import pytest
from support.bitwise import computed
from support.gated import HELD_AT

from preimage.volumes.lease import Lease


def goes_on(case, survived, fault, held, **compute):
    assert Lease.read(case.beside.lease).state == "stopped"
    assert case.held() == held  # saved, and nobody does more
    before = case.marked()
    case.gate.open()
    case.driver(compute).wait()
    assert computed(before, case.marked()) == [(1, block) for block in range(6) if (1, block) not in before]
    assert [case.beside.read(1, block)["resumed_from"] for block in held] == [HELD_AT] * len(held)
    lost = "nothing: states were saved"
    survived(
        case, fault, lost, f"{len(held)} in work from iteration {HELD_AT}; {6 - len(before) + 3 - len(held)} others"
    )


def test_in_one_process(case, survived):
    held = case.interrupted(done=2)
    goes_on(case, survived, "Ctrl-C", [held])


@pytest.mark.faults
def test_with_processes(case, survived):
    case.gate.let_pass(2)
    driver = case.driver({"workers": 2})
    driver.until(case.are(done=2, held=2), "two blocks done and two held")
    held, workers = case.held(), driver.children
    for block in held:
        case.beside.state(1, block).unlink()  # what is there afterwards was saved by Ctrl-C, or right before
    driver.interrupt()
    driver.wait(code=130)
    assert not any(worker.is_running() for worker in workers)
    goes_on(case, survived, "Ctrl-C with processes", held, workers=2)


@pytest.mark.faults
def test_with_dask(case, scheduler, survived):
    scheduler.add_workers(2)
    case.gate.let_pass(2)
    driver = case.driver({"scheduler": scheduler.address})
    driver.until(case.are(done=2, held=2), "two blocks done and two held")
    held = case.held()
    driver.interrupt()
    driver.wait(code=130)
    assert not scheduler.is_at_work
    goes_on(case, survived, "Ctrl-C with dask", held, scheduler=scheduler.address)


@pytest.mark.faults
@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_where_one_worker_fails_the_others_save_what_they_do(case, scheduler, survived, engine):
    """No worker goes on when the lease is given up: another driver may come."""
    compute = {"workers": 2}
    if engine == "dask":
        scheduler.add_workers(2)
        compute = {"scheduler": scheduler.address}
    case.gate.let_pass(1)
    driver = case.driver(compute)
    driver.until(case.are(done=1, held=2), "a block done and two held")
    workers = driver.children
    case.gate.fail()
    assert "error: the gate is broken" in driver.wait(code=1)
    assert not any(worker.is_running() for worker in workers)
    assert not scheduler.is_at_work
    before, held = case.marked(), case.held()
    case.gate.open()
    case.run().execute()
    assert computed(before, case.marked()) == [(1, block) for block in range(6) if (1, block) not in before]
    again = f"{len(held)} in work from iteration {HELD_AT}; {5 - len(held)} others"
    survived(case, f"one of two workers fails, {engine}", "nothing: states were saved", again)
