"""The saved state of a block in work: one that is damaged or of another run is dropped, and the block begins anew."""

import shutil

import pytest
from support.bitwise import computed
from support.drivers import wait_for
from support.gated import HELD_AT


def flipped(part):
    """Flips a bit of a saved state: in its tensors, in its numbers, or where safetensors describes both."""

    def damage(path):
        raw = bytearray(path.read_bytes())
        tensors = 8 + int.from_bytes(raw[:8], "little")
        raw[{"tensors": tensors + 5, "numbers": raw.index(b"state.iteration") + 4, "description": 12}[part]] ^= 1
        path.write_bytes(raw)

    return damage


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-3])


DAMAGES = {
    "a bit of a state's tensors is flipped": flipped("tensors"),
    "a bit of a state's numbers is flipped": flipped("numbers"),
    "a bit of a state's description is flipped": flipped("description"),
    "a state is cut off": cut_off,
}


def goes_on_without(case, survived, told, held, fault):
    before = case.marked()
    case.run(told).execute()
    (note,) = told.notes
    assert note.startswith("a block begins anew: ")
    assert str(case.beside.state(1, held)) in note
    assert case.beside.read(1, held)["resumed_from"] is None
    assert computed(before, case.marked()) == [(1, 2), (1, 3), (1, 4), (1, 5)]
    survived(case, fault, f"the {HELD_AT} iterations of block {held}", f"block {held} from its beginning; 3 others")


@pytest.mark.parametrize("fault", DAMAGES)
def test_a_damaged_state_is_dropped(case, survived, told, fault):
    held = case.interrupted(done=2)
    DAMAGES[fault](case.beside.state(1, held))
    case.gate.open()
    goes_on_without(case, survived, told, held, fault)


def test_a_state_of_another_run_is_dropped(case, another, survived, told):
    held = case.interrupted(done=2)
    other = another(seed=1)
    other.interrupted(done=2)
    shutil.copy(other.beside.state(1, held), case.beside.state(1, held))
    case.gate.open()
    goes_on_without(case, survived, told, held, "a state of another run is in its place")


@pytest.mark.faults
def test_a_worker_that_outlives_its_driver_writes_nothing_into_the_run_that_took_its_place(
    case, another, scheduler, survived
):
    old = another(seed=1, folder=case.folder)
    scheduler.add_workers(1)
    driver = old.driver({"scheduler": scheduler.address})
    driver.until(old.are(done=0, held=1), "a block held")
    driver.kill()
    case.gate.open()
    case.driver(fresh=True).wait()
    before = case.marked()
    old.gate.open()  # its worker goes on, and finds that the store is not its own any more
    wait_for(lambda: not scheduler.is_at_work, "the end of the old block")
    assert case.marked() == before
    survived(case, "a worker outlives its driver, and another run takes the place", "nothing", "nothing")
