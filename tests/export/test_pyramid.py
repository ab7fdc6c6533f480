"""Levels: what is halved when, what a voxel of a level is the mean of, and blocks of whole write units."""

import itertools
import math

import numpy as np
import pytest

from preimage.export.pyramid import Level, halved, joined, levels_of, reduced
from preimage.export.source import regions

EPS = np.finfo(np.float32).eps


def block_means(values, by):
    """The mean of the voxels that are there of every block, by sums and counts."""
    counts = np.ones(values.shape)
    values = values.astype(np.complex128)
    for axis, k in enumerate(by):
        starts = np.arange(0, values.shape[axis], k)
        values, counts = np.add.reduceat(values, starts, axis), np.add.reduceat(counts, starts, axis)
    return values / counts


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("axis", [0, 1])
def test_halving_takes_the_mean_of_neighbours_and_keeps_the_last_of_an_odd_number(noise, n, axis):
    values = np.moveaxis(noise(n, 3), 0, axis)
    before = values.copy()
    expected = block_means(values, (2, 1) if axis == 0 else (1, 2))
    assert np.abs(halved(values, axis) - expected).max() <= EPS * np.abs(values).max()  # one sum, rounded
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("by", [(2, 2, 2), (1, 2, 2), (2, 1, 1)])
def test_a_region_made_in_pieces_is_that_of_the_whole(noise, by):
    values = noise(21, 18, 9)
    above = Level(values.shape, (2, 2, 2))
    shape = tuple(math.ceil(n / k) for n, k in zip(values.shape, by, strict=True))
    level = Level(shape, tuple(2 * k for k in by))
    expected = block_means(values, by)
    largest = 0

    def read(region):
        nonlocal largest
        largest = max(largest, values[region].size)
        return values[region]

    for region in regions(shape, (8, 8, 8)):
        found = reduced(read, region, above, level, 4, values.dtype)
        assert np.abs(found - expected[region]).max() <= 3 * EPS * np.abs(values).max()  # a sum an axis, each rounded
    assert largest == math.prod(4 * k for k in by)  # a chunk's worth, and no more


@pytest.mark.parametrize(
    ("shape", "steps", "edge"),
    [
        ((188, 256, 190), (0.9, 0.9, 0.9), 64),
        ((24, 512, 512), (4.0, 1.0, 1.0), 64),
        ((300, 7, 65), (1.0, 1.3, 5.0), 64),
        ((3, 2000, 1500), (math.inf, 1.0, 1.0), 512),
        ((1, 100, 100), (0.1, 1.0, 1.0), 64),
        ((64, 64, 64), (1.0, 1.0, 1.0), 64),
    ],
)
def test_levels_get_coarser_until_a_chunk_holds_the_last(shape, steps, edge):
    levels = levels_of(shape, steps, edge)
    assert levels[0] == Level(shape, (1, 1, 1))
    last = [n for n, step in zip(levels[-1].shape, steps, strict=True) if step < math.inf]
    assert max(last) <= edge
    for above, level in itertools.pairwise(levels):
        assert max(n for n, step in zip(above.shape, steps, strict=True) if step < math.inf) > edge  # it was needed
        for n, m, j, k, step in zip(above.shape, level.shape, above.factors, level.factors, steps, strict=True):
            assert k in ((j,) if step == math.inf else (j, 2 * j))
            assert m == math.ceil(n / (k // j))


def test_voxels_become_even():
    """4 mm between slices of 1 mm: the slices wait for two levels."""
    factors = [level.factors for level in levels_of((256, 1024, 1024), (4.0, 1.0, 1.0), 64)]
    assert factors[:4] == [(1, 1, 1), (1, 2, 2), (1, 4, 4), (2, 8, 8)]


@pytest.mark.parametrize("chunks", [(512, 512, 16), (8, 512, 1024), (1, 1, 1), (600, 700, 900)])
@pytest.mark.parametrize("limit", [1, 2**20, 2**23, 2**40])
def test_blocks_are_whole_write_units_within_the_limit(chunks, limit):
    unit, shape = (128, 128, 128), (512, 512, 1000)
    block = joined(unit, shape, chunks, limit)
    assert all(n % k == 0 or n == whole for n, k, whole in zip(block, unit, shape, strict=True))
    assert math.prod(block) <= max(limit, math.prod(unit))


def test_blocks_are_as_long_as_the_chunks_they_are_read_from():
    assert joined((128, 128, 128), (512, 512, 1000), (512, 512, 16), 2**40) == (512, 512, 128)
    assert joined((128, 128, 128), (512, 512, 1000), (1, 1, 1), 2**40) == (128, 128, 128)
