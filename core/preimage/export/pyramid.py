"""A pyramid: each level is the one above it, halved along the dims of the finest steps by the mean of its voxels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from preimage.export.source import Array, Region, regions


@dataclass(frozen=True)
class Level:
    """One resolution of an image.

    Attributes
    ----------
    shape : in voxels.
    factors : by which it is coarser than the first, along every dim.
    """

    shape: tuple[int, ...]
    factors: tuple[int, ...]


def levels_of(shape: Sequence[int], steps: Sequence[float], edge: int) -> list[Level]:
    """All resolutions of an image, from the finest to one of which a chunk holds all.

    Parameters
    ----------
    steps : from voxel to voxel along every dim; infinite along those that are never halved.
    edge : of a chunk, in voxels.
    """
    levels = [Level(tuple(shape), (1,) * len(shape))]
    while any(n > edge for n, step in zip(levels[-1].shape, steps, strict=True) if step < math.inf):
        above = levels[-1]
        coarse = [
            step * factor if n > 1 else math.inf
            for n, step, factor in zip(above.shape, steps, above.factors, strict=True)
        ]
        # What is coarser than the finest by √2 waits: voxels become as even as they can be.
        by = [2 if step < math.sqrt(2) * min(coarse) else 1 for step in coarse]
        levels.append(
            Level(
                tuple(math.ceil(n / k) for n, k in zip(above.shape, by, strict=True)),
                tuple(factor * k for factor, k in zip(above.factors, by, strict=True)),
            )
        )
    return levels


def reduced(
    read: Callable[[Region], Array], region: Region, above: Level, level: Level, edge: int, dtype: np.dtype[Any]
) -> Array:
    """A region of a level from the level above it, a chunk's worth at a time.

    Parameters
    ----------
    read : gives a region of the level above.
    """
    by = [fine // coarse for fine, coarse in zip(level.factors, above.factors, strict=True)]
    lengths = [part.stop - part.start for part in region]
    whole = np.empty(lengths, dtype)
    for piece in regions(lengths, [edge] * len(lengths)):
        values = read(
            tuple(
                slice((whole.start + part.start) * k, min((whole.start + part.stop) * k, n))
                for whole, part, k, n in zip(region, piece, by, above.shape, strict=True)
            )
        )
        for axis, k in enumerate(by):
            if k == 2:
                values = halved(values, axis)
        whole[piece] = values
    return whole


def halved(values: Array, axis: int) -> Array:
    """Means of neighbours along an axis; of an odd number the last stays as it is."""
    values = np.moveaxis(values, axis, 0)
    means, second = values[::2].copy(), values[1::2]
    means[: len(second)] += second
    means[: len(second)] *= 0.5
    return np.moveaxis(means, 0, axis)


def joined(unit: Sequence[int], shape: Sequence[int], chunks: Sequence[int], limit: int) -> tuple[int, ...]:
    """A block of whole write units, as large as the chunks it is read from where the limit allows.

    So that few chunks are decoded more than once.

    Parameters
    ----------
    limit : of a block, in voxels.
    """
    block = [min(edge, n) for edge, n in zip(unit, shape, strict=True)]
    for axis in sorted(range(len(block)), key=lambda i: block[i] / chunks[i]):  # the most cut first
        wanted = math.ceil(min(chunks[axis], shape[axis]) / unit[axis])
        allowed = limit // math.prod(block)
        block[axis] = min(max(1, min(wanted, allowed)) * unit[axis], shape[axis])
    return tuple(block)
