"""NIfTI images, as nibabel reads them: voxels, affine, units, whatever the order in which they were stored."""

import nibabel
import numpy as np
import pytest

from preimage.errors import RequestError
from preimage.export import export, nifti

AFFINE = np.array([[0.0, -2.1, 0.3, 11.5], [3.2, 0.1, 0, -20.25], [0, 0.2, 4.4, 30], [0, 0, 0, 1]])
"""Of indices along x, y, z: permuted, mirrored and sheared; exact in single precision it is not."""
SIZES = {"x": 3.2, "y": 2.1, "z": 4.4}


def geometry(order="xyz"):
    """The attributes of an image whose truth had its dims in this order."""
    columns = ["xyz".index(dim) for dim in order]
    return {"affine": AFFINE[:, [*columns, 3]].tolist(), "voxel_size": {dim: SIZES[dim] for dim in order}}


@pytest.fixture
def saved(store, tmp_path):
    """Exports an image and loads it with nibabel."""

    def exported(values, dims, name="a.nii.gz", at=None, part="complex", **kwargs):
        export(store(values, dims, **kwargs), tmp_path / name, at=at, part=part, force=True)
        return nibabel.load(tmp_path / name)

    return exported


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize(("stored", "loaded"), [("xyz", "xyz"), ("zyx", "xyz"), ("xzy", "zxy"), ("yzx", "yzx")])
def test_voxels_and_affine_are_in_the_order_x_y_z(saved, noise, stored, loaded, name):
    values = noise(5, 3, 7)  # of x, y, z
    found = saved(values.transpose(["xyz".index(dim) for dim in stored]), tuple(stored), name, **geometry(loaded))
    assert found.header.get_data_dtype() == np.complex64
    np.testing.assert_array_equal(np.asarray(found.dataobj), values)
    np.testing.assert_allclose(found.affine, AFFINE, rtol=1e-7)  # single precision in the file
    assert found.header.get_xyzt_units() == ("mm", "unknown")


def test_a_real_image_keeps_its_values(saved):
    values = np.linspace(-1, 2, 60, dtype=np.float32).reshape(3, 4, 5)
    found = saved(values, ("x", "y", "z"))
    assert found.header.get_data_dtype() == np.float32
    np.testing.assert_array_equal(found.get_fdata(dtype=np.float32), values)


def test_a_part_of_complex_values(saved, noise):
    values = noise(3, 4, 5)
    for part, expected in (("magnitude", np.abs(values)), ("phase", np.angle(values))):
        found = saved(values, ("x", "y", "z"), part=part)
        assert found.header.get_data_dtype() == np.float32
        np.testing.assert_array_equal(np.asarray(found.dataobj), expected)


def test_without_an_affine_voxels_have_the_size_of_their_coordinates(saved, noise):
    coords = {"z": ("z", 4 + 250.0 * np.arange(3), {"units": "um"})}
    found = saved(noise(3, 4, 5), ("z", "y", "x"), coords=coords, voxel_size={"y": 2.0, "x": 1.0})
    expected = [[1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0.25, 0.004], [0, 0, 0, 1]]
    np.testing.assert_allclose(found.affine, expected, rtol=1e-7)


def test_without_any_geometry_the_unit_is_not_known(saved, noise):
    found = saved(noise(3, 4, 5), ("z", "y", "x"))
    np.testing.assert_array_equal(found.affine, np.eye(4))
    assert found.header.get_xyzt_units() == ("unknown", "unknown")


@pytest.mark.parametrize("dim", ["time", "echo"])
def test_one_further_dim_is_the_fourth_axis(saved, noise, dim):
    values = noise(2, 3, 4, 5)
    coords = {dim: (dim, [0.0, 40.0], {"units": "ms"})}
    found = saved(values, (dim, "z", "y", "x"), coords=coords, **geometry())
    np.testing.assert_array_equal(np.asarray(found.dataobj), values.transpose(3, 2, 1, 0))
    np.testing.assert_allclose(found.affine, AFFINE, rtol=1e-7)
    if dim == "time":
        assert found.header.get_zooms()[3] == pytest.approx(0.04, rel=1e-7)
        assert found.header.get_xyzt_units() == ("mm", "sec")


def test_the_plane_of_a_volume_lies_where_it_was_cut(saved, noise):
    values = noise(5, 3, 7)
    found = saved(values, ("x", "y", "z"), at={"x": 4}, **geometry())
    np.testing.assert_array_equal(np.asarray(found.dataobj), values[4])
    np.testing.assert_allclose(found.affine @ [2, 6, 0, 1], AFFINE @ [4, 2, 6, 1], rtol=1e-6)


def test_a_plane_with_time_has_a_third_axis_of_one(saved, noise):
    values = noise(6, 3, 5)
    found = saved(values, ("time", "z", "y"))
    assert found.shape == (5, 3, 1, 6)
    np.testing.assert_array_equal(np.asarray(found.dataobj)[:, :, 0], values.transpose(2, 1, 0))


@pytest.mark.parametrize(("dims", "shape"), [(("coil", "echo", "z", "y"), (2, 2, 3, 4)), (("x",), (5,))])
def test_what_is_no_image_is_refused_with_the_cure(saved, noise, dims, shape):
    with pytest.raises(RequestError, match="choose an index along every other dim, such as --at coil=0"):
        saved(noise(*shape), dims)


@pytest.mark.parametrize("limit", [1, 4, 12, 50, 200])
def test_however_it_is_cut_the_file_is_the_same(saved, noise, tmp_path, monkeypatch, limit):
    values = noise(2, 3, 4, 5)
    saved(values, ("time", "z", "y", "x"), "whole.nii.gz")
    monkeypatch.setattr(nifti, "LIMIT", limit)
    saved(values, ("time", "z", "y", "x"), "cut.nii.gz")
    assert (tmp_path / "cut.nii.gz").read_bytes() == (tmp_path / "whole.nii.gz").read_bytes()


def test_what_nibabel_would_write_is_what_is_written(saved, noise, tmp_path):
    values = noise(5, 3, 7)
    saved(values, ("x", "y", "z"), "ours.nii", **geometry())
    image = nibabel.Nifti1Image(values, AFFINE)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "theirs.nii")
    assert (tmp_path / "ours.nii").read_bytes() == (tmp_path / "theirs.nii").read_bytes()


def test_axes_too_long_for_nifti_1_are_nifti_2(saved):
    values = np.arange(40000, dtype=np.float32).reshape(1, 1, 40000)
    found = saved(values, ("z", "y", "x"))
    assert isinstance(found, nibabel.Nifti2Image)
    np.testing.assert_array_equal(np.asarray(found.dataobj)[:, 0, 0], values[0, 0])
