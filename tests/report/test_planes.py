"""The planes that are drawn: those through the middle, nothing else is read, and voxels keep their shape."""

import numpy as np
import pytest
import xarray as xr

from preimage.data import lazy
from preimage.report.planes import MAX_RATIO, MAX_VOXELS, Plane, central_planes, extent


def numbered(**sizes):
    """An image whose voxels say where they are."""
    shape = tuple(sizes.values())
    return xr.DataArray(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), dims=tuple(sizes))


def test_three_planes_of_a_volume_cross_in_its_middle():
    image = numbered(x=6, z=5, y=4)
    planes = central_planes(image.sizes)
    assert [plane.title for plane in planes] == ["z–y at x = 3 of 6", "x–y at z = 2 of 5", "x–z at y = 2 of 4"]
    for plane, expected in zip(planes, (image[3], image[:, 2], image[:, :, 2]), strict=True):
        assert np.array_equal(plane.read(image), expected.values)


def test_one_plane_of_an_image_and_a_line_of_a_signal():
    assert [plane.title for plane in central_planes({"y": 4, "x": 3})] == ["y–x"]
    (line,) = central_planes({"n": 7})
    assert line.dims == ("n",)
    (number,) = central_planes({"n": 1})
    assert number.dims == ()
    assert number.read(numbered(n=1)).shape == ()


@pytest.mark.parametrize(
    ("sizes", "titles"),
    [
        ({"time": 5, "y": 4, "x": 3}, ["y–x at time = 2 of 5"]),
        ({"set": 2, "coil": 8, "z": 1, "y": 4, "x": 3}, ["y–x at set = 1 of 2, coil = 4 of 8"]),
        ({"slice": 3, "row": 4, "column": 5}, ["row–column at slice = 1 of 3", "slice–column at row = 2 of 4"]),
        ({"x": 12, "n": 4}, ["x–n"]),
        ({"coil": 4, "x": 12}, ["coil–x"]),
        ({"time": 3, "coil": 4, "x": 12}, ["coil–x at time = 1 of 3"]),
    ],
)
def test_further_dims_are_at_their_middle(sizes, titles):
    planes = central_planes(sizes)
    assert [plane.title for plane in planes][: len(titles)] == titles
    assert len(planes) == (3 if "slice" in sizes else 1)
    image = numbered(**sizes)
    at = {dim: n // 2 for dim, n in sizes.items() if dim not in planes[0].dims}
    assert np.array_equal(planes[0].read(image), image.isel(at).values)


def test_nothing_but_the_planes_is_read():
    values, read = np.arange(7 * 8 * 9.0).reshape(7, 8, 9), []

    def note(index):
        read.append(values[index].size)
        return values[index]

    image = xr.DataArray(lazy(("z", "y", "x"), values.shape, values.dtype, note))
    for plane in central_planes(image.sizes):
        plane.read(image)
    assert sorted(read) == [7 * 8, 7 * 9, 8 * 9]


def test_of_long_axes_every_so_many_voxels_are_drawn():
    image = numbered(y=3, x=2 * MAX_VOXELS + 1)
    (plane,) = central_planes(image.sizes)
    assert plane.steps == {"y": 1, "x": 3}
    assert np.array_equal(plane.read(image), image.values[:, ::3])


COORDINATES = {"y": ("y", [0.0, 2.0, 4.0, 6.0], {"units": "mm"}), "x": ("x", [9.0, 6.0, 3.0], {"units": "mm"})}
SECONDS = {"y": ("y", [0.0, 2.0, 4.0, 6.0], {"units": "s"}), "x": COORDINATES["x"]}


@pytest.mark.parametrize(
    ("attributes", "coordinates", "expected"),
    [
        ({"voxel_size": {"y": 2.0, "x": 0.5}}, {}, (2.0, 0.5)),
        ({"voxel_size": [2.0, 0.5]}, {}, (2.0, 0.5)),
        ({"voxel_size": [2, 1]}, COORDINATES, (2.0, 1.0)),
        ({}, COORDINATES, (2.0, 3.0)),
        ({}, SECONDS, None),
        ({}, {"y": COORDINATES["y"]}, None),
        ({}, {}, None),
        ({"voxel_size": {"y": 2.0}}, {}, None),
        ({"voxel_size": [1.0, 2.0, 3.0]}, {}, None),
        ({"voxel_size": "large"}, {}, None),
        ({"voxel_size": {"y": "2", "x": None}}, {}, None),
        ({"voxel_size": [0.0, 1.0]}, {}, None),
        ({"voxel_size": [float("nan"), 1.0]}, {}, None),
    ],
)
def test_voxels_keep_their_shape_where_it_is_known(attributes, coordinates, expected):
    image = numbered(y=4, x=3).assign_coords(coordinates)
    found = extent(central_planes(image.sizes)[0], image, attributes)
    assert found.voxel == expected
    height, width = expected or (1.0, 1.0)
    assert (found.height, found.width) == (4 * height, 3 * width)
    assert found.to_scale


def test_voxels_have_the_unit_that_is_known():
    image = numbered(y=4, x=3)
    plane = central_planes(image.sizes)[0]
    micrometres = {dim: (dim, values, {"units": "um"}) for dim, (_, values, _) in COORDINATES.items()}
    assert extent(plane, image.assign_coords(micrometres), {"voxel_size": [2, 1]}).unit == "mm"
    assert extent(plane, image.assign_coords(micrometres), {}).unit == "um"
    assert extent(plane, image.assign_coords(y=[0.0, 1.0, 2.0, 3.0], x=[0.0, 1.0, 2.0]), {}).unit == ""


def test_a_thread_is_drawn_wide_enough_to_be_seen():
    image = numbered(y=2, x=400)
    found = extent(Plane(("y", "x"), {}, {"y": 2, "x": 400}), image, {})
    assert (found.height, found.width) == (400 / MAX_RATIO, 400)
    assert not found.to_scale
