"""Stores: what is written is what is read, also zeros, and damage does not go unnoticed."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
import zarr

from preimage.errors import RequestError, RunError
from preimage.volumes import stores
from preimage.volumes.planning.plan import ArrayPlan

DATASET = xr.Dataset(
    {
        "measurement": (("coil", "x"), np.arange(24, dtype=np.complex64).reshape(4, 6), {"units": "a.u."}),
        "mask": (("x",), np.array([True, False] * 3)),
        "noise_std": ((), np.float64(0.5)),
    },
    coords={"x": ("x", np.linspace(0, 1, 6), {"units": "mm"})},
    attrs={"affine": np.eye(4), "subject": "one"},
)


def test_a_dataset_is_read_back_with_dims_units_and_geometry(tmp_path):
    stores.write_dataset(DATASET, tmp_path / "d.zarr", chunks={"x": 4})
    again = xr.open_zarr(tmp_path / "d.zarr", consolidated=False)  # any xarray reads it
    xr.testing.assert_equal(again.load(), DATASET)
    assert again["measurement"].attrs["units"] == "a.u."
    assert again["x"].attrs["units"] == "mm"
    np.testing.assert_equal(np.array(again.attrs["affine"]), np.eye(4))
    assert zarr.open_group(tmp_path / "d.zarr")["measurement"].chunks == (4, 4)


def test_a_dataset_that_is_there_is_not_overwritten_unasked(tmp_path):
    stores.write_dataset(DATASET, tmp_path / "d.zarr")
    with pytest.raises(RequestError, match="exists: remove it, choose another path or ask to overwrite"):
        stores.write_dataset(DATASET, tmp_path / "d.zarr")
    stores.write_dataset(DATASET.isel(x=slice(0, 3)), tmp_path / "d.zarr", overwrite=True)
    assert stores.open_dataset(tmp_path / "d.zarr").sizes["x"] == 3


def test_large_variables_are_cut_into_chunks_along_their_first_dims(tmp_path):
    large = xr.Dataset({"measurement": (("coil", "z", "y"), np.zeros((3, 1024, 1024), np.float32))})
    stores.write_dataset(large, tmp_path / "l.zarr")
    assert zarr.open_group(tmp_path / "l.zarr")["measurement"].chunks == (1, 1024, 1024)


def test_opening_reads_no_values(tmp_path, monkeypatch):
    stores.write_dataset(DATASET.drop_vars("x"), tmp_path / "d.zarr")
    monkeypatch.setattr(zarr.Array, "__getitem__", lambda *_: pytest.fail("values were read"))
    assert stores.open_dataset(tmp_path / "d.zarr")["measurement"].shape == (4, 6)


def store_of_zeros(path, dtype="int32"):
    group = stores.create_group(path)
    stores.create_array(group, "estimate", ArrayPlan(("x",), (6,), dtype, (3,)), compressed=False)


def test_chunks_of_zeros_are_kept_also_by_a_second_process(tmp_path):
    path = tmp_path / "z.zarr"
    store_of_zeros(path)
    stores.open_for_writing(path, "estimate")[:] = np.zeros(6, np.int32)
    chunks = sorted(p.name for p in (path / "estimate" / "c").iterdir())
    assert chunks == ["0", "1"]
    code = (
        "import sys, pathlib, numpy; from preimage.volumes.stores import open_for_writing;"
        "open_for_writing(pathlib.Path(sys.argv[1]), 'estimate')[0:3] = numpy.zeros(3, 'int32')"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)
    assert sorted(p.name for p in (path / "estimate" / "c").iterdir()) == chunks
    zarr.open_group(path, mode="r+")["estimate"][0:3] = 0  # a plain reopening would delete the chunk
    assert sorted(p.name for p in (path / "estimate" / "c").iterdir()) != chunks


@pytest.mark.parametrize("compressed", [True, False])
def test_a_flipped_bit_is_noticed(tmp_path, compressed):
    path = tmp_path / "z.zarr"
    group = stores.create_group(path)
    stores.create_array(group, "estimate", ArrayPlan(("x",), (64,), "float32", (64,)), compressed=compressed)
    stores.open_for_writing(path, "estimate")[:] = np.random.default_rng(0).random(64)
    chunk = path / "estimate" / "c" / "0"
    raw = bytearray(chunk.read_bytes())
    raw[len(raw) // 2] ^= 4
    chunk.write_bytes(raw)
    with pytest.raises(ValueError, match="(?i)checksum|crc"):
        zarr.open_group(path)["estimate"][:]


def test_what_was_not_written_is_not_a_number(tmp_path):
    store_of_zeros(tmp_path / "z.zarr", "float32")
    assert np.isnan(stores.open_dataset(tmp_path / "z.zarr")["estimate"].values).all()


def test_stores_of_a_newer_schema_and_foreign_ones_are_refused(tmp_path):
    path = tmp_path / "r.zarr"
    stores.create_group(path)
    with pytest.raises(RequestError, match="not one of a run"):
        stores.read_attributes(path)
    stores.write_attributes(path, {"seed": 1})
    assert stores.read_attributes(path) == {"schema": stores.SCHEMA, "seed": 1}
    zarr.open_group(path, mode="r+").attrs["preimage"] = {"schema": 99}
    with pytest.raises(RequestError, match="has schema 99, this version reads up to"):
        stores.read_attributes(path)
    with pytest.raises(RequestError, match="is not a Zarr group"):
        stores.read_attributes(tmp_path / "nothing.zarr")


@pytest.mark.parametrize(
    ("attributes", "complete"), [({}, True), ({"key": "k"}, False), ({"key": "k", "finished": True}, True)]
)
def test_a_chunk_that_is_gone_is_an_error_where_all_were_written(tmp_path, attributes, complete):
    """Not in the store of a run in work, where it is a block that is not done."""
    stores.write_dataset(DATASET, tmp_path / "d.zarr", chunks={"x": 4})
    stores.write_attributes(tmp_path / "d.zarr", attributes)
    (tmp_path / "d.zarr" / "measurement" / "c" / "0" / "1").unlink()
    measurement = stores.open_dataset(tmp_path / "d.zarr")["measurement"]
    np.testing.assert_array_equal(measurement[:, :4], DATASET["measurement"][:, :4])
    if complete:
        with pytest.raises(RunError, match=r"the chunk c/0/1 of 'measurement' is gone from .*d.zarr"):
            measurement.load()
    else:
        assert np.isnan(measurement[:, 4:].values).all()


def test_a_shard_that_is_gone_is_an_error_too(tmp_path):
    group = stores.create_group(tmp_path / "s.zarr", {stores.ATTRIBUTE: {"schema": stores.SCHEMA}})
    stores.create_array(group, "y", ArrayPlan(("x",), (8,), "float32", (2,), (4,)), compressed=False)
    stores.open_for_writing(tmp_path / "s.zarr", "y")[...] = 0
    (tmp_path / "s.zarr" / "y" / "c" / "1").unlink()
    found = stores.open_dataset(tmp_path / "s.zarr")["y"]
    assert (found[:4].values == 0).all()
    with pytest.raises(RunError, match="the chunk c/1 of 'y' is gone"):
        found[5:6].load()
