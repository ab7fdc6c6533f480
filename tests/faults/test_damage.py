"""What a finished block stored is damaged or gone: exactly that block is computed again."""

import json

import numpy as np
import pytest
from support.bitwise import computed, values
from support.crashing import CrashAfter

from preimage.errors import RunError
from preimage.volumes import stores
from preimage.volumes.markers import Beside
from preimage.volumes.progress import Progress
from preimage.volumes.tasks.block import digest
from preimage_registry.results.status import status_of


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip(path, at=-10):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 4
    path.write_bytes(raw)


def delete(path):
    path.unlink()


def chunk(store, name, n=0):
    """The file of one stored object of an array."""
    return sorted(path for path in (store / name / "c").rglob("*") if path.is_file())[n]


SEEN = {truncate: "has", delete: "is gone"}
TOLD = {truncate: "truncated", delete: "deleted", flip: "changed by a bit"}


@pytest.fixture
def finished(case):
    case.gate.open()
    case.run().execute()
    return case


@pytest.mark.parametrize("verify", [False, True], ids=["at a look", "verified"])
@pytest.mark.parametrize("damage", [truncate, delete])
def test_an_object_of_the_estimate_that_is_short_or_gone_is_seen_without_reading(
    finished, survived, told, damage, verify
):
    before = finished.marked()
    damage(chunk(finished.output, "estimate", 4))
    finished.run(told).execute(verify=verify)
    (note,) = told.notes
    assert note.startswith("block 4 of stage 2 is done again: estimate/c/4/0 " + SEEN[damage])
    solved = [block for stage, block in computed(before, finished.marked()) if stage == 1]
    assert solved == [4]
    how = "verified" if verify else "at a look"
    survived(finished, f"a chunk is {TOLD[damage]}, {how}", "block 4", "block 4, and what it reads")


@pytest.mark.parametrize("array", ["estimate", "history"])
def test_a_flipped_bit_is_found_where_blocks_are_verified(finished, survived, told, array):
    before = finished.marked()
    flip(chunk(finished.output, array, 2))
    finished.run().execute()
    assert finished.marked() == before  # a look does not see it; whoever reads it meets the checksum
    with pytest.raises(ValueError, match="checksum"):
        values(finished.output)
    finished.run(told).execute(verify=True)
    (note,) = told.notes
    assert note.startswith(f"block 2 of stage 2 is done again: {array} cannot be read: ")
    assert [block for stage, block in computed(before, finished.marked()) if stage == 1] == [2]
    survived(finished, f"a bit is flipped in the {array}, verified", "block 2", "block 2, and what it reads")


def test_whole_values_that_are_others_are_found_where_blocks_are_verified(finished, survived, told):
    estimate = stores.open_for_writing(finished.output, "estimate")
    estimate[2:4] = -estimate[2:4]  # with a good checksum
    facts = finished.beside.read(1, 1)
    facts["objects"]["estimate"] = {"c/1/0": chunk(finished.output, "estimate", 1).stat().st_size}  # and as long
    Beside(finished.output, stores.read_attributes(finished.output)["run"]).mark(1, 1, facts)
    before = finished.marked()
    finished.run(told).execute(verify=True)
    assert told.notes == ["block 1 of stage 2 is done again: estimate has other values"]
    assert [block for stage, block in computed(before, finished.marked()) if stage == 1] == [1]
    survived(finished, "a chunk is replaced by another, verified", "block 1", "block 1, and what it reads")


def test_a_damaged_marker_is_none(finished, survived, told):
    before = finished.marked()
    path = finished.beside.marker(1, 3)
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"seconds": facts["seconds"] + 1}))  # good JSON, and not what was written
    finished.run(told).execute()
    assert told.notes == ["block 3 of stage 2 is done again: its marker is damaged, or of another run"]
    assert (1, 3) in computed(before, finished.marked())
    survived(finished, "a marker is damaged", "block 3", "block 3, and what it reads")


@pytest.mark.parametrize("verify", [False, True], ids=["at a look", "verified"])
def test_a_finished_run_without_its_folder_of_markers_is_returned(finished, survived, told, tmp_path, verify):
    """Such as one of which the store alone was copied."""
    record, folder = stores.read_attributes(finished.output), finished.beside.folder
    folder.rename(tmp_path / "aside")
    assert finished.run(told).execute(verify=verify) == record
    assert told.notes == [f"{folder} is gone: there is nothing to compare the result with"] * verify
    assert not folder.exists()
    assert status_of(finished.output).state == "finished"
    (tmp_path / "aside").rename(folder)  # to compare by
    survived(finished, "all markers of a finished run are gone", "nothing", "nothing")


def test_a_single_marker_that_is_gone_is_a_loss(finished, survived, told):
    before = finished.marked()
    finished.beside.marker(1, 3).unlink()
    assert status_of(finished.output).state == "damaged"
    finished.run(told).execute()
    assert told.notes == ["block 3 of stage 2 is done again: its marker is gone"]
    assert (1, 3) in computed(before, finished.marked())
    survived(finished, "a marker is gone", "block 3", "block 3, and what it reads")


def test_an_array_without_its_metadata_is_one_clear_error(finished):
    (finished.output / "estimate" / "zarr.json").unlink()
    with pytest.raises(RunError, match=r"estimate/zarr.json is gone: run with --fresh"):
        finished.run().execute(verify=True)


def test_what_was_half_written_is_removed(halfway, survived):
    partial = chunk(halfway.output, "estimate", 0).with_suffix(".0a1b.partial")
    state = halfway.beside.state(1, 3)
    for path in (partial, state.with_name(f".{state.name}.x7"), halfway.beside.scratch(0) / "c.1.partial"):
        path.write_bytes(b"half of it")
    halfway.run().execute()
    left = [p for folder in (halfway.output, halfway.beside.folder) for p in folder.rglob("*") if p.is_file()]
    assert not [path for path in left if path.name.startswith(".") or path.suffix == ".partial"]
    survived(halfway, "files that were half written", "nothing", "3 that had not begun")


# --- what the stages hand to each other ----------------------------------------------------------------------------


@pytest.fixture
def halfway(case):
    """A run of which the first stage and three of six blocks of the second are done."""
    case.gate.open()
    with pytest.raises(RuntimeError, match="crash"):
        case.run(CrashAfter(3 + 3)).execute()
    assert len(case.beside.done(0)) == 3
    assert len(case.done()) == 3
    return case


@pytest.mark.parametrize(("damage", "verify"), [(truncate, False), (delete, False), (flip, True)])
def test_scratch_that_is_damaged_is_made_again(halfway, survived, told, damage, verify):
    before = halfway.marked()
    damage(chunk(halfway.beside.scratch(0), "measurement", 1))
    halfway.run(told).execute(verify=verify)
    assert [note.partition(":")[0] for note in told.notes] == ["block 1 of stage 1 is done again"]
    assert computed(before, halfway.marked()) == [(0, 1), (1, 3), (1, 4), (1, 5)]
    what = TOLD[damage] + (", verified" if verify else "")
    survived(halfway, f"a chunk of scratch is {what}", "block 1 of stage 1", "it, and 3 that had not begun")


def test_other_values_in_scratch_are_found_where_blocks_are_verified(halfway, survived, told):
    before = halfway.marked()
    handed = stores.open_for_writing(halfway.beside.scratch(0), "measurement")
    handed[:, 0:2] = handed[:, 0:2] + np.complex64(1)  # uncompressed: of the same size, with a good checksum
    halfway.run(told).execute(verify=True)
    assert told.notes == ["block 0 of stage 1 is done again: measurement has other values"]
    assert computed(before, halfway.marked()) == [(0, 0), (1, 3), (1, 4), (1, 5)]
    survived(halfway, "other values in scratch, verified", "block 0 of stage 1", "it, and 3 that had not begun")


@pytest.mark.parametrize(("damage", "words"), [(flip, "could not be read"), (delete, "is gone from")])
def test_damage_that_comes_while_a_run_goes_on_is_an_error_and_not_a_wrong_result(case, survived, damage, words):
    case.gate.let_pass(2)

    class Damage(Progress):
        def finished_block(self, record, facts):
            if (facts["stage"], facts["block"]) == (1, 1):
                damage(chunk(case.beside.scratch(0), "measurement", 2))

    with pytest.raises(RunError, match=words):
        case.run(Damage()).execute()
    before = case.marked()
    case.gate.open()
    case.run().execute(verify=True)
    assert computed(before, case.marked()) == [(0, 2), (1, 2), (1, 3), (1, 4), (1, 5)]
    survived(
        case, f"a chunk of scratch is {TOLD[damage]} during a run", "block 2 of stage 1", "it, and 4 that had not begun"
    )


def test_the_digest_tells_every_bit():
    values = np.zeros(4, np.complex64)
    other = values.copy()
    other.view(np.uint8)[7] ^= 1
    assert digest(values) != digest(other)
