"""Exports: what is replaced and what never, what is refused, and what is left when one fails."""

import sys
import tracemalloc

import numpy as np
import pytest
import xarray as xr
import zarr

import preimage
from preimage.errors import RequestError
from preimage.export import Export, channels, export, nifti, ome_zarr
from preimage.volumes import stores


@pytest.fixture
def image(store, noise):
    return store(noise(3, 4, 5), ("z", "y", "x"))


def test_it_says_what_it_wrote(image, tmp_path):
    assert export(image, tmp_path / "deep/er/a.ome.zarr") == Export(
        "OME-Zarr 0.5, magnitude and phase, 3 × 4 × 5 (z, y, x), 1 level", 0
    )
    assert export(image, tmp_path / "a.nii") == Export("NIfTI-1, complex64, 5 × 4 × 3 (x, y, z)", 0)


def test_voxels_that_are_not_finite_are_counted(store, noise, tmp_path):
    values = noise(3, 4, 5)
    values[0, 1, :3] = np.nan, np.inf, complex(0, np.nan)
    path = store(values, ("z", "y", "x"))
    for name in ("a.ome.zarr", "a.nii"):
        assert export(path, tmp_path / name).n_broken == 3


@pytest.mark.parametrize("name", ["a.ome.zarr", "a.nii.gz"])
def test_an_export_is_replaced_only_if_that_is_asked_for(image, store, noise, tmp_path, name):
    export(image, tmp_path / name)
    other = store(noise(2, 2), ("z", "y"))
    with pytest.raises(RequestError, match="exists: choose another path, or replace it with --force"):
        export(other, tmp_path / name)
    assert "2 × 2" in export(other, tmp_path / name, force=True).text


def test_what_is_no_export_is_never_replaced(image, tmp_path):
    run = tmp_path / "run.ome.zarr"
    stores.write_dataset(preimage.open_dataset(image).load(), run)
    folder = tmp_path / "folder.nii"
    folder.mkdir()
    for path in (run, folder):
        with pytest.raises(RequestError, match="is no export, and is not replaced"):
            export(image, path, force=True)
    with pytest.raises(RequestError, match=r"lies in .*: write the export beside it"):
        export(image, image / "a.nii", force=True)
    assert "estimate" in preimage.open_dataset(run)


def test_one_that_fails_leaves_what_was_there(image, tmp_path, monkeypatch):
    path = tmp_path / "a.ome.zarr"
    export(image, path)
    before = zarr.open_group(path, mode="r")["0"][...]

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("preimage.export.channels.Channels.write", stop)
    with pytest.raises(KeyboardInterrupt):
        export(image, path, force=True)
    np.testing.assert_array_equal(zarr.open_group(path, mode="r")["0"][...], before)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.ome.zarr", "in.zarr"]


@pytest.mark.parametrize("name", ["a.zarr", "a.tif", "nii", "a.nii.zip"])
def test_another_suffix_is_refused(image, tmp_path, name):
    with pytest.raises(RequestError, match=r"the name of an export ends in \.ome\.zarr, \.nii or \.nii\.gz"):
        export(image, tmp_path / name)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"variable": "estimat"}, "has no variable 'estimat': choose another by --variable, it has estimate"),
        ({"at": {"coil": 0}}, "--at coil=0: estimate has the dims z, y, x"),
        ({"at": {"z": 3}}, "--at z=3: z goes from 0 to 2"),
    ],
)
def test_what_is_not_there_is_named(image, tmp_path, kwargs, words):
    with pytest.raises(RequestError, match=words):
        export(image, tmp_path / "a.nii", **kwargs)


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(RequestError, match="does not exist: name the store of a run, or a dataset"):
        export(tmp_path / "none.zarr", tmp_path / "a.nii")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(RequestError, match="is no Zarr group of arrays with named dims"):
        export(tmp_path / "empty.zarr", tmp_path / "a.nii")


def test_dates_are_no_image(tmp_path):
    dates = np.array([["2000-01-01", "2000-01-02"]], "datetime64[ns]")
    xr.Dataset({"estimate": (("x", "y"), dates)}).to_zarr(tmp_path / "dates.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(RequestError, match="it is no image"):
        export(tmp_path / "dates.zarr", tmp_path / "a.nii")


def test_a_store_of_a_newer_schema_is_refused(image, tmp_path):
    zarr.open_group(image, mode="r+").attrs["preimage"] = {"schema": 99}
    with pytest.raises(RequestError, match="has schema 99, this version reads up to"):
        export(image, tmp_path / "a.nii")


def test_a_run_that_is_not_finished_is_refused(image, tmp_path):
    stores.write_attributes(image, {"key": "1"})
    with pytest.raises(RequestError, match=r"is not finished: `preimage status .*in\.zarr` says how far it is"):
        export(image, tmp_path / "a.nii")
    stores.write_attributes(image, {"key": "1", "finished": True})
    export(image, tmp_path / "a.nii")


def test_any_zarr_group_with_named_dims_is_exported(tmp_path, noise):
    values = noise(3, 4, 5)
    xr.Dataset({"truth": (("z", "y", "x"), values)}).to_zarr(tmp_path / "theirs.zarr", zarr_format=2)
    export(tmp_path / "theirs.zarr", tmp_path / "a.ome.zarr", variable="truth")
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "a.ome.zarr")["0"][0], np.abs(values))


def test_a_library_that_is_not_installed_is_named_with_the_cure(image, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "preimage.export.nifti", raising=False)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(RequestError, match=r"to write \.nii, nibabel is needed: pip install nibabel"):
        export(image, tmp_path / "a.nii")
    export(image, tmp_path / "a.ome.zarr")  # needs it not


def test_a_folder_that_cannot_be_written_is_named(image):
    with pytest.raises(RequestError, match=r"/proc/none/a\.nii cannot be written"):
        export(image, "/proc/none/a.nii")


@pytest.mark.parametrize("suffix", [".ome.zarr", ".nii"])
def test_memory_does_not_grow_with_the_volume(store, noise, tmp_path, monkeypatch, suffix):
    """2 MiB of voxels at once: what is needed for 12 MiB is no more than a tenth above what is needed for 4 MiB."""
    monkeypatch.setattr(channels, "EDGES", {3: 32})
    monkeypatch.setattr(ome_zarr, "LIMIT", 2**18)
    monkeypatch.setattr(nifti, "LIMIT", 2**18)
    peaks = []
    for n in (64, 128, 384):  # the first imports what is imported late
        path = store(noise(n, 64, 64), ("z", "y", "x"), chunks={"z": 64, "y": 64, "x": 1})
        found = []
        for i in range(3):  # the least: what a thread of Zarr's is late to free only adds
            tracemalloc.start()
            export(path, tmp_path / f"{n}-{i}{suffix}")
            found.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        peaks.append(min(found))
    assert peaks[2] < 1.1 * peaks[1]
