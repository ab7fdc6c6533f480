"""Identity of inputs: what holds the same is the same wherever it was copied, and what does not is another."""

import os
import shutil

import numpy as np
import pytest
import xarray as xr

import preimage.identity
from preimage.errors import DataError
from preimage.identity import identity, missing_chunk
from preimage.volumes import stores
from preimage.volumes.planning.plan import ArrayPlan

DATASET = xr.Dataset({"y": (("coil", "x"), np.random.default_rng(0).random((4, 6))), "n": ((), 3)}, attrs={"of": "one"})


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "d.zarr"
    stores.write_dataset(DATASET, path, chunks={"x": 2})
    return path


def later(path):
    for file in path.rglob("*"):
        os.utime(file, (1, 1))


def told(path):
    """All but where it is."""
    return {name: value for name, value in identity(path).items() if name != "path"}


def test_a_store_is_the_same_when_it_is_copied_touched_or_written_again_with_the_same_values(written, tmp_path):
    before = told(written)
    later(written)
    assert told(written) == before
    shutil.copytree(written, tmp_path / "copy.zarr", copy_function=shutil.copyfile)
    assert told(tmp_path / "copy.zarr") == before
    stores.write_dataset(DATASET, written, chunks={"x": 2}, overwrite=True)
    assert told(written) == before


def test_other_values_other_attributes_and_other_names_are_another(written):
    found = [told(written)["digest"]]
    for other in (DATASET + 1, DATASET.assign_attrs(of="two"), DATASET.rename(n="m")):
        stores.write_dataset(other, written, chunks={"x": 2}, overwrite=True)
        found.append(told(written)["digest"])
    assert len(set(found)) == 4


def test_one_bit_of_a_value_that_is_written_in_place_is_another(tmp_path):
    group = stores.create_group(tmp_path / "d.zarr")
    stores.create_array(group, "y", ArrayPlan(("x",), (6,), "float32", (3,)), compressed=False)
    array = stores.open_for_writing(tmp_path / "d.zarr", "y")
    array[...] = 1
    before = told(tmp_path / "d.zarr")
    array[4] = np.nextafter(np.float32(1), np.float32(2))
    after = told(tmp_path / "d.zarr")
    assert after["bytes"] == before["bytes"]
    assert after["digest"] != before["digest"]


@pytest.mark.parametrize("shards", [None, (4,)])
def test_what_has_no_checksum_of_all_its_bytes_is_told_by_its_time(tmp_path, shards):
    path = tmp_path / "d.zarr"
    group = stores.create_group(path)
    if shards:  # the checksum at the end is that of the index
        stores.create_array(group, "y", ArrayPlan(("x",), (8,), "float32", (2,), shards), compressed=False)
    else:
        group.create_array("y", shape=(8,), dtype="float32", chunks=(4,), fill_value=0)
    stores.open_for_writing(path, "y")[...] = 1
    before = told(path)
    later(path)
    assert told(path) != before
    file = tmp_path / "d.npy"
    file.write_bytes(b"1234")
    before = told(file)
    os.utime(file, (1, 1))
    assert told(file) != before


def test_a_chunk_that_is_gone_is_found(written):
    assert missing_chunk(written) is None
    (written / "y" / "c" / "0" / "2").unlink()
    assert missing_chunk(written) == ("y", "c/0/2")


def test_a_file_that_goes_while_it_is_looked_at_is_named(written, monkeypatch):
    def gone(file):
        raise FileNotFoundError(2, "No such file or directory", str(file))

    monkeypatch.setattr(preimage.identity, "_end", gone)
    with pytest.raises(DataError, match=r"d.zarr/n/c cannot be read \(No such file or directory\)"):
        identity(written)
