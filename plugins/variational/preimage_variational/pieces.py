"""Working through a large tensor in pieces that stay in cache."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import Tensor

PIECE = 2 * 2**20
"""Bytes of a piece, about what a core has of second-level cache. With half or twice as much, transforms of large
volumes take as long; in one piece they take twice as long."""


def pieces(x: Tensor, axes: Iterable[int]) -> tuple[Tensor, ...]:
    """Views that together make up x, cut along one of the axes; x itself if it is small or not on the CPU.

    For several operations in place, one after the other, that treat indices along these axes alike.
    """
    n = math.ceil(x.numel() * x.element_size() / PIECE)
    lengths = {axis: x.shape[axis] for axis in axes}
    if n <= 1 or x.device.type != "cpu" or not lengths:
        return (x,)
    long_enough = [axis for axis, length in lengths.items() if length >= n]
    axis = long_enough[0] if long_enough else max(lengths, key=lengths.__getitem__)
    return x.chunk(n, axis)
