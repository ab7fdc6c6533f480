"""A full disk and a read-only one: a clear error, finished blocks are kept, and the run goes on once that is mended."""

from dataclasses import replace

import pytest
from support.bitwise import computed

from preimage.errors import RequestError, RunError
from preimage.volumes.lease import Lease


class Ballast:
    """A file that leaves no room on a disk."""

    def __init__(self, disk):
        self.path = disk / "ballast"

    def load(self):
        with self.path.open("wb", buffering=0) as file:
            for size in (4096, 1):  # a page at a time, and what is left of the last
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def drop(self):
        self.path.unlink()


@pytest.fixture
def on_small_disk(case, small_disk):
    case.folder = small_disk
    return case


@pytest.mark.parametrize(
    "workers", [1, pytest.param(2, marks=pytest.mark.faults)], ids=["in one process", "with processes"]
)
def test_a_disk_that_gets_full(on_small_disk, survived, workers):
    case, ballast = on_small_disk, Ballast(on_small_disk.folder)
    case.gate.let_pass(2)
    driver = case.driver({"workers": workers, "checkpoint": 3600.0})
    driver.until(lambda: len(case.done()) == 2, "two blocks done")
    ballast.load()
    done = case.marked()
    case.gate.open()
    said = driver.wait(code=1)
    assert "could not be used: the disk is full. Finished blocks are kept: mend that and run the same command" in said
    assert case.marked() == done
    ballast.drop()
    case.run().execute()
    assert computed(done, case.marked()) == [(1, block) for block in range(6) if (1, block) not in done]
    how = "" if workers == 1 else ", with processes"
    survived(case, f"a full disk{how}", "nothing that was done", "4 that were not done")


def test_a_disk_that_is_full_from_the_beginning(on_small_disk, survived):
    case, ballast = on_small_disk, Ballast(on_small_disk.folder)
    ballast.load()
    with pytest.raises((RequestError, RunError), match="No space left|the disk is full"):
        case.run().execute()
    ballast.drop()
    case.gate.open()
    case.run().execute()
    survived(case, "a full disk, from the beginning", "nothing", "all")


def test_a_disk_that_is_read_only(on_small_disk, survived, remount):
    case = on_small_disk
    held = case.interrupted(done=2)
    done = case.marked()
    remount("ro")
    with pytest.raises(RunError, match="is on a read-only disk. Finished blocks are kept: mend that and run"):
        case.run().execute()
    with pytest.raises(RequestError, match="cannot be created: Read-only file system"):
        replace(case, name="other.zarr").run().execute()
    remount("rw")
    assert case.marked() == done
    assert Lease.read(case.beside.lease).state == "stopped"
    case.gate.open()
    case.run().execute()
    survived(case, "a read-only disk", "nothing that was done", f"4 that were not done, {held} from its state")


def test_a_finished_run_on_a_read_only_disk_is_still_read(on_small_disk, survived, remount):
    case = on_small_disk
    case.gate.open()
    case.run().execute()
    remount("ro")
    record = case.run().execute(verify=True)
    assert record["finished"]
    survived(case, "a finished run on a read-only disk", "nothing", "nothing")
