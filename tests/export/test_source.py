"""What is read of a variable, and how much memory that takes."""

import tracemalloc

import numpy as np
import pytest

from preimage.export.source import open_source, regions


@pytest.mark.parametrize("dims", [("z", "y", "x"), ("x", "z", "y"), ("y", "x", "z")])
def test_a_region_is_read_in_the_order_of_the_dims(store, noise, dims):
    values = noise(5, 6, 7, 2)
    source = open_source(store(values, ("z", "y", "x", "coil"), chunks={"y": 4}), "estimate", {"coil": 1})
    here = {"z": slice(1, 4), "y": slice(3, 6), "x": slice(0, 7)}
    expected = values[1:4, 3:6, :, 1].transpose(["zyx".index(dim) for dim in dims])
    np.testing.assert_array_equal(source.read(dims, tuple(here[dim] for dim in dims)), expected)


def test_it_is_in_single_precision(store):
    for values, dtype in (
        (np.ones((2, 3)), np.float32),
        (1j * np.ones((2, 3)), np.complex64),
        (np.eye(2) > 0, np.float32),
    ):
        found = open_source(store(values, ("y", "x")), "estimate", {}).read(("y", "x"), (slice(None), slice(None)))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, values)


def test_reading_takes_little_more_than_the_values(store, noise):
    """Twice: the values and what of them is decoded. xarray's lazy transposition would take an index of every voxel."""
    source = open_source(store(noise(64, 64, 64), ("z", "y", "x"), chunks={"z": 16}), "estimate", {})
    dims, all_of_it = ("x", "z", "y"), (slice(None),) * 3
    source.read(dims, all_of_it)  # imports what is imported late
    tracemalloc.start()
    values = source.read(dims, all_of_it)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * values.nbytes


def test_blocks_cover_an_array_once():
    seen = np.zeros((5, 4, 3), int)
    for region in regions(seen.shape, (2, 4, 2)):
        seen[region] += 1
    assert (seen == 1).all()
