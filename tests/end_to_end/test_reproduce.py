"""Running the record of a result again."""

import importlib.metadata
import json
import re

import numpy as np
import pytest
import zarr

import preimage
from preimage.record import changed_inputs, identity
from preimage_registry.results import agreement
from preimage_registry.results.agreement import ROUNDING, agreements
from preimage_registry.results.stored import StoredRun


@pytest.fixture
def done(scan):
    """A shell with a finished run."""
    scan("run", "scan.toml")
    return scan


def spoil(folder, change, where=(slice(None),)):
    """Change the stored estimate."""
    estimate = zarr.open_group(folder / "out.zarr", mode="r+")["estimate"]
    estimate[where] = change(estimate[where])


def rewrite(folder, change):
    """Change the stored record."""
    path = folder / "out.zarr" / "zarr.json"
    group = json.loads(path.read_text())
    change(group["attributes"]["preimage"])
    path.write_text(json.dumps(group))


def test_a_run_is_reproduced_bit_for_bit(done):
    before = sorted(path.name for path in done.folder.iterdir())
    assert done("reproduce", "out.zarr") == "identical: estimate is the same bit for bit\n"
    assert sorted(path.name for path in done.folder.iterdir()) == before  # nothing is left behind


def test_the_second_result_may_be_kept(done):
    assert "identical" in done("reproduce", "out.zarr", "--output", "again.zarr")
    one, two = (preimage.open_dataset(done.folder / name) for name in ("out.zarr", "again.zarr"))
    np.testing.assert_array_equal(one["estimate"].values, two["estimate"].values)
    assert one.attrs["preimage"]["key"] == two.attrs["preimage"]["key"]
    assert "--output again.zarr is a finished run" in done("reproduce", "out.zarr", "-o", "again.zarr", code=2)
    assert "--output out.zarr is a finished run" in done("reproduce", "out.zarr", "-o", "out.zarr", code=2)
    assert "ends in .zarr" in done("reproduce", "out.zarr", "-o", "again", code=2)


def test_rounding_is_equal(done):
    spoil(done.folder, lambda values: values * np.float32(1 + 2e-7))  # at most two units in the last place
    said = done("reproduce", "out.zarr")
    assert said.startswith("equal: estimate differs by ")
    assert "which is rounding" in said


@pytest.mark.parametrize("slab", [1, agreement.SLAB])
def test_a_difference_is_told_by_how_much_and_where(done, monkeypatch, slab):
    monkeypatch.setattr(agreement, "SLAB", slab)
    spoil(done.folder, lambda values: values + 0.5, (slice(3, 4), slice(7, 8), slice(2, 3)))  # in the second block
    said = done("reproduce", "out.zarr", code=1)
    assert said.startswith("different: estimate differs by ")
    assert "first in block 2, x 2:4; most at x 3, z 7, y 2, by 0.5\n" in said
    assert "no part, version, input or device has changed" in said


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_different(done, value):
    spoil(done.folder, lambda values: np.full_like(values, value), (slice(5, 6), slice(0, 1), slice(0, 1)))
    assert "first in block 3" in done("reproduce", "out.zarr", code=1)


def test_the_limit_of_rounding(done):
    """Relative to the norm of the whole: just below it is equal, just above it is not."""
    done("reproduce", "out.zarr", "-o", "again.zarr")
    pair = [StoredRun.finished(done.folder / name) for name in ("out.zarr", "again.zarr")]
    for factor, equal in ((0.9, True), (1.1, False)):
        values = preimage.open_dataset(done.folder / "again.zarr")["estimate"].values
        values = values.astype(np.float64)
        wanted = factor * ROUNDING * np.linalg.norm(values)
        index = np.unravel_index(np.abs(values).argmin(), values.shape)  # where single precision is finest
        changed = (values[index] + wanted).astype(np.float32)
        estimate = zarr.open_group(done.folder / "out.zarr", mode="r+")["estimate"]
        estimate[...] = values
        estimate[index] = changed
        (found,) = agreements(*pair)
        assert not found.identical
        assert found.relative == pytest.approx(factor * ROUNDING, rel=0.01)
        assert found.equal is equal


def test_versions_that_changed_are_told(done, monkeypatch):
    rewrite(done.folder, lambda record: record["versions"].update(torch="1.0"))
    rewrite(done.folder, lambda record: record["parts"][0].update(version="0.5"))
    said = done("reproduce", "out.zarr")
    assert f'changed since: torch: "1.0", now "{importlib.metadata.version("torch")}"' in said
    assert "changed since: loader.zarr: preimage-mri 0.5, now 1.0.0" in said


def test_inputs_that_changed_are_refused(done):
    data = preimage.open_dataset(done.folder / "data.zarr").load()
    preimage.write_dataset(-data, done.folder / "data.zarr", overwrite=True)
    said = done("reproduce", "out.zarr", code=2)
    assert said.startswith("out.zarr cannot be reproduced:\n")
    assert re.search(r"data.zarr had \d+ bytes in 3 files, now \d+ in 3", said)
    (done.folder / "data.zarr").rename(done.folder / "moved.zarr")
    assert "data.zarr is gone" in done("reproduce", "out.zarr", code=2)


def test_how_an_input_changed(tmp_path):
    file = tmp_path / "data.npy"
    assert changed_inputs({"loader": (then := identity(file))}) == []
    file.write_bytes(b"1234")
    assert changed_inputs({"loader": then}) == [f"{file} was not there"]
    then = identity(file)
    assert changed_inputs({"loader": then}) == []
    file.write_bytes(b"123")
    assert changed_inputs({"loader": then}) == [f"{file} had 4 bytes in 1 files, now 3 in 1"]


def test_parts_that_are_missing_are_all_named(done):
    def absent(record):
        for part in record["parts"]:
            if part["kind"] in ("operator", "solver"):
                part.update(distribution="lab-gone", version="2.0")

    rewrite(done.folder, absent)
    said = done("reproduce", "out.zarr", code=2)
    assert "it was made with operator.identity of lab-gone 2.0: there is no operator 'lab-gone:identity'" in said
    assert "it was made with solver.fista of lab-gone 2.0" in said


def test_a_part_that_may_not_be_used_is_named(done):
    (done.folder / "plugins.toml").write_text('[trust]\ndeny = ["solver.fista"]\n')
    said = done("--plugins", "plugins.toml", "reproduce", "out.zarr", code=2)
    assert "denies 'solver.fista'" in said


def test_settings_that_a_part_does_not_take_any_more_are_told(done):
    rewrite(done.folder, lambda record: record["recipe"]["parts"]["solver"][0]["settings"].update(max_itr=3))
    assert "does not take the settings of 1.0.0: max_itr" in done("reproduce", "out.zarr", code=2)


def test_a_damaged_store_fails(done):
    chunk = next(path for path in (done.folder / "out.zarr" / "estimate" / "c").rglob("*") if path.is_file())
    damaged = bytearray(chunk.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    chunk.write_bytes(damaged)
    assert "out.zarr or " in (said := done("reproduce", "out.zarr", code=1))
    assert "damaged" in said


@pytest.mark.parametrize(
    ("path", "words"),
    [("nowhere.zarr", "does not exist"), ("data.zarr", "is a dataset"), ("half.zarr", "half.zarr is not finished")],
)
def test_what_is_no_finished_run_is_one_clear_error(done, path, words):
    (done.folder / "half.zarr").mkdir()
    metadata = json.loads((done.folder / "out.zarr" / "zarr.json").read_text())
    del metadata["attributes"]["preimage"]["finished"]
    (done.folder / "half.zarr" / "zarr.json").write_text(json.dumps(metadata))
    assert words in done("reproduce", path, code=2)
