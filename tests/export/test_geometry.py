"""Geometry: steps and units of coordinates and of `voxel_size`, and the columns of the affine."""

import numpy as np
import pytest
import xarray as xr

from preimage.errors import DataError
from preimage.export.geometry import Axis, affine_of, axis_of

AFFINE = np.array([[0.0, 2, 0.1, 10], [3, 0, 0, 20], [0, 0, -4, 30], [0, 0, 0, 1]])
"""Of indices along x, z, y."""
SIZES = {"x": 3.0, "z": 2.0, "y": 4.0}


def image(dims=("x", "z", "y"), **coords):
    coordinates = {dim: (dim, values, {"units": units}) for dim, (values, units) in coords.items()}
    return xr.DataArray(np.zeros((3,) * len(dims)), coordinates, dims)


@pytest.mark.parametrize(
    ("units", "name"), [("mm", "millimeter"), ("um", "micrometer"), ("µm", "micrometer"), ("micrometer", "micrometer")]
)
def test_coordinates_say_step_unit_and_origin(units, name):
    found = axis_of("x", image(x=([5.0, 7.5, 10.0], units)), {"voxel_size": SIZES})
    assert found == Axis(2.5, name, 5.0)


def test_along_time_they_are_in_units_of_time():
    assert axis_of("time", image(("time", "y"), time=([0, 20, 40], "ms")), {}) == Axis(20.0, "millisecond", 0.0)


@pytest.mark.parametrize(
    "coords",
    [
        {},
        {"x": ([0.0, 1.0, 3.0], "mm")},  # uneven
        {"x": ([2.0, 1.0, 0.0], "mm")},  # a view has no negative steps
        {"x": ([0.0, 0.0, 0.0], "mm")},
        {"x": ([0.0, np.nan, 2.0], "mm")},
        {"x": ([0.0, 1.0, 2.0], "pixel")},
        {"x": ([0.0, 1.0, 2.0], "s")},
        {"x": (["a", "b", "c"], "mm")},
    ],
)
def test_what_coordinates_cannot_say_the_voxel_size_does(coords):
    assert axis_of("x", image(**coords), {"voxel_size": SIZES}) == Axis(3.0, "millimeter")
    assert axis_of("x", image(**coords), {"voxel_size": [3, 2, 4]}) == Axis(3.0, "millimeter")


@pytest.mark.parametrize("stated", [{}, {"voxel_size": "large"}, {"voxel_size": {"x": 0}}, {"voxel_size": [1.0]}])
def test_else_a_voxel_is_one_of_no_unit(stated):
    assert axis_of("x", image(), stated) == Axis()


@pytest.mark.parametrize("stored", [("x", "z", "y"), ("y", "z", "x")])
def test_columns_of_the_affine_follow_their_dims(stored):
    """The point of every voxel is the same whatever the order in which indices are given and voxels stored."""
    found = affine_of(("x", "y", "z"), image(stored), {"affine": AFFINE.tolist(), "voxel_size": SIZES}, {})
    np.testing.assert_array_equal(found @ [1, 5, 7, 1], AFFINE @ [1, 7, 5, 1])


def test_without_names_they_are_those_of_the_stored_dims():
    found = affine_of(("x", "y", "z"), image(("y", "x", "z")), {"affine": AFFINE, "voxel_size": [3, 2, 4]}, {})
    np.testing.assert_array_equal(found @ [1, 5, 7, 1], AFFINE @ [5, 1, 7, 1])


def test_a_plane_lies_where_it_was_cut():
    attributes = {"affine": AFFINE, "voxel_size": SIZES}
    found = affine_of(("y", "z"), image(), attributes, {"x": 6})
    np.testing.assert_array_equal(found @ [5, 7, 0, 1], AFFINE @ [6, 7, 5, 1])
    assert np.linalg.matrix_rank(found) == 4


def test_without_an_affine_voxels_are_scaled_to_millimetres():
    found = affine_of(("x", "y", "z"), image(x=([500.0, 1000.0, 1500.0], "um")), {"voxel_size": SIZES}, {})
    np.testing.assert_allclose(found, [[0.5, 0, 0, 0.5], [0, 4, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]], rtol=1e-15)


@pytest.mark.parametrize("wrong", [np.eye(3).tolist(), "identity", [[np.nan] * 4] * 4, [[1], [2, 3]]])
def test_an_affine_that_is_none_is_refused(wrong):
    with pytest.raises(DataError, match="no matrix of 4 × 4 finite numbers"):
        affine_of(("x", "y", "z"), image(), {"affine": wrong}, {})


def test_an_affine_without_one_of_the_dims_is_refused():
    with pytest.raises(DataError, match="columns for x, z, not for y"):
        affine_of(("x", "y", "z"), image(), {"affine": AFFINE, "voxel_size": {"x": 3.0, "z": 2.0}}, {})
