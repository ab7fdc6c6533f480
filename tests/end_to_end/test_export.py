"""Exports at the command line: from a NIfTI file through a run and back, views, and one clear line for each mistake."""

import sys

import nibabel
import numpy as np
import pytest
import zarr
from ome_zarr_models.v05 import Image

import preimage

AFFINE = np.array([[0.0, -2.5, 0.25, 11.5], [3.0, 0.125, 0, -20.25], [0, 0.5, 4.0, 30], [0, 0, 0, 1]])
"""Permuted, mirrored and sheared; every number is one in single precision too."""
RUN = """
[loader]
use = "nifti"
path = "brain.nii.gz"
order = ["x", "z", "y"]

[simulate]

[[preparation]]
use = "simulate-coils"
n_coils = 2

[operator]
use = "cartesian-mri"

[solver]
use = "conjugate-gradient"
max_iter = 5

[compute]
blocks = { x = 3 }

[output]
path = "out.zarr"
"""


@pytest.fixture
def brain(preimage_command):
    """A shell in a folder with an image of 6 × 8 × 5 voxels whose affine is none of axes alone, and a run file."""
    values = np.random.default_rng(0).random((6, 8, 5)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), preimage_command.folder / "brain.nii.gz")
    (preimage_command.folder / "run.toml").write_text(RUN)
    return preimage_command


def load(shell, name, **settings):
    return preimage.make("loader.nifti", path=shell.folder / name, **settings).describe().load()


def test_a_nifti_file_comes_back_with_its_voxels_and_its_affine(brain):
    """Through a dataset whose dims are in another order, the file and what our loader makes of it are the same."""
    before = load(brain, "brain.nii.gz", order=("z", "x", "y"))
    preimage.write_dataset(before, brain.folder / "data.zarr")
    said = brain("export", "data.zarr", "again.nii.gz", "--variable", "truth")
    assert said == "again.nii.gz: NIfTI-1, float32, 6 × 8 × 5 (x, y, z)\n"
    original, again = (nibabel.load(brain.folder / name) for name in ("brain.nii.gz", "again.nii.gz"))
    np.testing.assert_array_equal(again.affine, original.affine)
    np.testing.assert_array_equal(np.asarray(again.dataobj), np.asarray(original.dataobj))
    for order in (("z", "x", "y"), ("x", "y", "z")):
        found, expected = (load(brain, name, order=order) for name in ("again.nii.gz", "brain.nii.gz"))
        np.testing.assert_array_equal(found["truth"], expected["truth"])
        assert found.attrs == expected.attrs


def test_the_estimate_of_a_run_lies_where_its_truth_did(brain):
    brain("run", "run.toml")
    assert brain("export", "out.zarr", "estimate.nii") == "estimate.nii: NIfTI-1, complex64, 6 × 8 × 5 (x, y, z)\n"
    found = nibabel.load(brain.folder / "estimate.nii")
    np.testing.assert_array_equal(found.affine, AFFINE)
    estimate = preimage.open_dataset(brain.folder / "out.zarr")["estimate"]
    np.testing.assert_array_equal(np.asarray(found.dataobj), estimate.transpose("x", "y", "z"))
    truth = np.asarray(nibabel.load(brain.folder / "brain.nii.gz").dataobj)
    assert np.abs(np.abs(found.dataobj) - truth).max() < 0.1  # the right voxels: others differ by up to 1


def test_a_view_of_a_run(brain):
    brain("run", "run.toml")
    said = brain("export", "out.zarr", "out.ome.zarr")
    assert said == "out.ome.zarr: OME-Zarr 0.5, magnitude and phase, 5 × 8 × 6 (z, y, x), 1 level\n"
    group = zarr.open_group(brain.folder / "out.ome.zarr", mode="r")
    Image.from_zarr(group)
    estimate = preimage.open_dataset(brain.folder / "out.zarr")["estimate"].transpose("z", "y", "x").values
    np.testing.assert_array_equal(group["0"][...], [np.abs(estimate), np.angle(estimate)])
    (level,) = group.attrs["ome"]["multiscales"][0]["datasets"]
    sizes = load(brain, "brain.nii.gz").attrs["voxel_size"]
    assert level["coordinateTransformations"][0]["scale"] == [1.0, sizes["z"], sizes["y"], sizes["x"]]


def test_an_index_and_a_part_are_chosen(brain):
    brain("run", "run.toml")
    coils = preimage.simulate(
        load(brain, "brain.nii.gz"), preparation=[{"use": "simulate-coils", "n_coils": 3}], operator="cartesian-mri"
    ).load()
    preimage.write_dataset(coils, brain.folder / "coils.zarr")
    options = ("--variable", "sensitivities", "--at", "coil=1", "--part", "phase")
    assert "phase, 6 × 8 × 5" in brain("export", "coils.zarr", "phase.nii", *options)
    expected = np.angle(coils["sensitivities"].isel(coil=1).transpose("x", "y", "z"))
    np.testing.assert_array_equal(np.asarray(nibabel.load(brain.folder / "phase.nii").dataobj), expected)


def test_voxels_that_are_not_finite_are_told(brain):
    broken = load(brain, "brain.nii.gz")
    broken["truth"][0, 0, :2] = np.nan
    preimage.write_dataset(broken, brain.folder / "data.zarr")
    assert "2 voxels are not finite" in brain("export", "data.zarr", "a.nii", "--variable", "truth")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data.zarr", "a.zarr"], "a.zarr: the name of an export ends in .ome.zarr, .nii or .nii.gz"),
        (["data.zarr", "a.nii"], "has no variable 'estimate': choose another by --variable, it has truth"),
        (
            ["data.zarr", "brain.nii.gz", "--variable", "truth"],
            "exists: choose another path, or replace it with --force",
        ),
        (["none.zarr", "a.nii"], "none.zarr does not exist: name the store of a run, or a dataset"),
        (["run.toml", "a.nii"], "run.toml is no Zarr group of arrays with named dims"),
        (["data.zarr", "a.nii", "--variable", "truth", "--at", "coil"], "--at coil: write a dim and an index"),
        (["data.zarr", "a.nii", "--variable", "truth", "--at", "x=6"], "--at x=6: x goes from 0 to 5"),
        (["data.zarr", "a.ome.zarr", "--variable", "truth", "--part", "phase"], "--part phase: an OME-Zarr view has"),
        (["data.zarr", "a.nii", "--part", "angle"], "--part"),
        (["data.zarr", "data.zarr/a.nii"], "lies in data.zarr: write the export beside it"),
    ],
)
def test_a_wrong_request_is_one_clear_line(brain, arguments, words):
    preimage.write_dataset(load(brain, "brain.nii.gz"), brain.folder / "data.zarr")
    before = sorted(brain.folder.rglob("*"))
    said = brain("export", *arguments, code=2)
    assert words in said
    assert len(said.splitlines()) == 1 or "Usage" in said
    assert sorted(brain.folder.rglob("*")) == before


def test_a_run_in_work_is_refused(brain):
    brain("run", "run.toml")
    group = zarr.open_group(brain.folder / "out.zarr", mode="r+")
    group.attrs["preimage"] = {**group.attrs["preimage"], "finished": False}
    assert "out.zarr is not finished: `preimage status out.zarr` says how far" in brain(
        "export", "out.zarr", "a.nii", code=2
    )


def test_a_missing_library_is_named_with_its_cure(brain, monkeypatch):
    preimage.write_dataset(load(brain, "brain.nii.gz"), brain.folder / "data.zarr")
    monkeypatch.delitem(sys.modules, "preimage.export.nifti", raising=False)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    said = brain("export", "data.zarr", "a.nii", "--variable", "truth", code=2)
    assert said == "to write .nii, nibabel is needed: pip install nibabel\n"
