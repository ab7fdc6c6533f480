"""Stores of datasets and runs are plain Zarr: others open them, in processes that know nothing of this platform."""

import json
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import preimage

DATASET = xr.Dataset(
    {
        "measurement": (("coil", "kz", "x"), np.arange(60).reshape(3, 4, 5) * np.complex64(1 - 2j), {"units": "a.u."}),
        "truth": (("z", "x"), np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)),
        "mask": (("kz",), np.array([True, False, False, True])),
        "counts": (("x",), np.arange(5, dtype=np.uint16)),
        "noise_std": ((), np.float64(0.5)),
    },
    coords={"x": ("x", np.linspace(0, 1, 5), {"units": "mm"})},
    attrs={"voxel_size": {"z": 2.0, "x": 0.25}},
)

BY_XARRAY = """
import xarray
dataset = xarray.open_zarr(path, consolidated=False)
found = {str(name): one for name, one in dataset.variables.items()}
dims = {name: one.dims for name, one in found.items()}
values = {name: one.values for name, one in found.items()}
"""
BY_TENSORSTORE = """
import numpy, tensorstore
stored = {one.parent.name: one.parent for one in pathlib.Path(path).glob("*/zarr.json")}
spec = lambda folder: {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder)}}
arrays = [one for one in stored if json.loads((stored[one] / "zarr.json").read_text())["node_type"] == "array"]
found = {name: tensorstore.open(spec(stored[name])).result() for name in arrays}
dims = {name: one.domain.labels for name, one in found.items()}
values = {name: numpy.asarray(one.read().result()) for name, one in found.items()}
"""
AFTER = """
assert not any(name.startswith("preimage") for name in sys.modules)
numpy.savez(to, **values)
print(json.dumps(dims))
"""
READERS = {"xarray": BY_XARRAY, "tensorstore": BY_TENSORSTORE}


@pytest.fixture(params=READERS)
def read(request, tmp_path):
    """Reads a store in another process: dims and values of every array."""
    pytest.importorskip(request.param)
    code = f"import json, pathlib, sys, numpy\npath, to = sys.argv[1:]\n{READERS[request.param]}\n{AFTER}"

    def by_another(path):
        command = [sys.executable, "-c", code, str(path), str(tmp_path / "values.npz")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / "values.npz") as values:
            return {name: (tuple(dims), values[name]) for name, dims in json.loads(done.stdout).items()}

    return by_another


def check(found, expected):
    """Every array is there, with its dims, its type and its values."""
    assert set(found) == {str(name) for name in expected.variables}
    for name, (dims, values) in found.items():
        assert dims == expected[name].dims
        assert values.dtype == expected[name].dtype
        np.testing.assert_array_equal(values, expected[name].values)


@pytest.mark.parametrize("chunks", [None, {"x": 2, "kz": 3}])
def test_a_dataset(read, tmp_path, chunks):
    preimage.write_dataset(DATASET, tmp_path / "data.zarr", chunks)
    check(read(tmp_path / "data.zarr"), DATASET)


def test_a_run(read, make_run, tmp_path):
    make_run(compute={"blocks": {"x": 5}}).execute()
    found = read(tmp_path / "out.zarr")
    check(found, preimage.open_dataset(tmp_path / "out.zarr").load())
    assert found["estimate"][0] == ("x", "n")
    assert np.isfinite(found["estimate"][1]).all()
    assert found["history"][0] == ("block", "iteration", "quantity")


def test_a_chunk_that_is_damaged_is_noticed(read, tmp_path):
    """The negative control: what is read are the stored bytes, and their checksums are looked at."""
    preimage.write_dataset(DATASET, tmp_path / "data.zarr")
    chunk = tmp_path / "data.zarr/truth/c/0/0"
    damaged = bytearray(chunk.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    chunk.write_bytes(damaged)
    with pytest.raises(AssertionError, match="(?i)checksum|digest"):
        read(tmp_path / "data.zarr")
