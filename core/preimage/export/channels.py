"""An array of a view: complex values as two channels, magnitude and phase; real ones as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import zarr

from preimage.export.geometry import SPACE
from preimage.export.source import ONE_AT_A_TIME, Array, Region
from preimage.volumes.planning.plan import ArrayPlan

T = TypeVar("T")

EDGES = {2: 512, 3: 64}
"""Edge of a chunk of a plane and of a volume, in voxels: 1 MiB, which a viewer fetches at once."""
SHARD = 2
"""Chunks along an edge of a shard, which is what is written at once."""


@dataclass(frozen=True)
class Channels:
    """An array whose values are read and written by regions without the axis of the channels.

    Attributes
    ----------
    axis : of the channels.
    """

    array: zarr.Array[Any]
    axis: int

    def read(self, region: Region) -> Array:
        """The values of a region, put together again."""
        with zarr.config.set(ONE_AT_A_TIME):
            first, *phase = (np.asarray(self.array[self._at(region, i)]) for i in range(self.array.shape[self.axis]))
        if not phase:
            return first
        values = np.empty(first.shape, np.complex64)
        values.real, values.imag = first * np.cos(phase[0]), first * np.sin(phase[0])  # ten times as fast as exp(1j φ)
        return values

    def write(self, region: Region, values: Array) -> None:
        """Write a region, which is whole shards."""
        parts = (np.abs(values), np.angle(values)) if values.dtype.kind == "c" else (values,)
        with zarr.config.set(ONE_AT_A_TIME):
            for i, part in enumerate(parts):
                self.array[self._at(region, i)] = part

    def _at(self, region: Sequence[slice | int], channel: int) -> tuple[slice | int, ...]:
        return with_channel(region, self.axis, channel)


def edge_of(dims: Sequence[str]) -> int:
    """Edge of a chunk, in voxels."""
    return EDGES[sum(dim in SPACE for dim in dims)]


def layout(sizes: Mapping[str, int], names: Sequence[str], axis: int, n_channels: int) -> ArrayPlan:
    """How an array is stored: a chunk has one channel, at one time.

    Parameters
    ----------
    sizes : length of every dim, without the channels.
    names : of the array's dims, with the channels.
    axis : of the channels.
    """
    edge = edge_of([*sizes])
    chunks = [min(n, edge) if dim in SPACE else 1 for dim, n in sizes.items()]
    shards = [k * SHARD if dim in SPACE and n > k else k for k, (dim, n) in zip(chunks, sizes.items(), strict=True)]
    return ArrayPlan(
        tuple(names),
        with_channel([*sizes.values()], axis, n_channels),
        "float32",
        with_channel(chunks, axis, 1),
        with_channel(shards, axis, 1) if shards != chunks else None,
    )


def with_channel(values: Sequence[T], axis: int, value: T) -> tuple[T, ...]:
    """Something of every dim, and of the channels."""
    return (*values[:axis], value, *values[axis:])
