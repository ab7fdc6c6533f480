"""Cutting a large array into slabs that stay in the cache while everything is done to them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

CACHE = 5 * 2**19
"""Bytes of a slab on a CPU: with its inputs and its transform a few megabytes, which the caches of a core hold."""
DEVICE_MEMORY = 256 * 2**20
"""Bytes of a slab on an accelerator: large enough to keep it busy, small beside its memory."""

Index = tuple[slice, ...]


def slabs(shape: Sequence[int], axes: Sequence[int], itemsize: int, device: torch.device) -> Iterator[Index]:
    """Cut an array along some of its axes, the first of them first, and each only as far as it is needed.

    Parameters
    ----------
    axes : the axes that may be cut, ≥ 0.
    itemsize : bytes of an element.

    Yields
    ------
    index : of every slab in turn; together they are the whole.
    """
    limit = CACHE if device.type == "cpu" else DEVICE_MEMORY
    whole = [slice(None)] * len(shape)
    yield from _cut(whole, shape, list(axes), itemsize * math.prod(shape), limit)


def _cut(index: list[slice], shape: Sequence[int], axes: Sequence[int], nbytes: int, limit: int) -> Iterator[Index]:
    if nbytes <= limit or not axes:
        yield tuple(index)
        return
    axis, *rest = axes
    n = shape[axis]
    length = max(1, round(limit * n / nbytes))
    for start in range(0, n, length):
        index[axis] = slice(start, start + length)
        yield from _cut(index, shape, rest, nbytes * length // n, limit)
    index[axis] = slice(None)


def cut(x: Tensor, index: Index) -> Tensor:
    """The part of a tensor that belongs to a slab: axes are aligned at the end, and those of length 1 broadcast.

    The empty index stands for the whole.
    """
    if not index:
        return x
    aligned = index[len(index) - x.ndim :]
    return x[tuple(part if n > 1 else slice(None) for part, n in zip(aligned, x.shape, strict=True))]
