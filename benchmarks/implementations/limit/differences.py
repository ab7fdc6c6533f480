"""Differences of neighbours and the lengths of their groups, at the limit.

Slab by slab along the first dim, so that one pass does everything while a slab is in the cache. Complex images are
handled as the pairs of real numbers that they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from implementations.limit.sense import slabs

THICK = 2**21
"""Bytes of an image's slab. What a core holds in its second-level cache is less, but then starting so many small
operations, and two threads for each, takes longer than fetching from the third level."""


def thick_slabs(image: Tensor) -> Iterator[slice]:
    return slabs(slice(0, len(image)), THICK / image[0].nbytes)


def ascend_(dual: Tensor, image: Tensor, slab: slice, step: float) -> Tensor:
    """p ← (p + step · D image) shortened to lengths of at most 1, for the slices of a slab; returns these p."""
    add_differences_(dual, image, slab, step)
    p = dual[:, slab]
    return p.mul_(squared_lengths(p).clamp_min_(1).rsqrt_())


def add_differences_(dual: Tensor, image: Tensor, slab: slice, step: float) -> None:
    """p ← p + step · D image for the slices of a slab, which also looks at the slice after them."""
    n = image.shape[0]
    p, x = parts(dual), parts(image)
    last = min(slab.stop, n - 1)
    p[0, slab.start : last].add_(x[slab.start + 1 : last + 1], alpha=step).sub_(x[slab.start : last], alpha=step)
    x = x[slab]
    p[1, slab, :-1].add_(x[:, 1:], alpha=step).sub_(x[:, :-1], alpha=step)
    p[2, slab, :, :-1].add_(x[:, :, 1:], alpha=step).sub_(x[:, :, :-1], alpha=step)


def add_divergence_(image: Tensor, dual: Tensor, slab: slice, step: float) -> None:
    """Image ← image + step · Dᴴp, for an image of the slices of a slab, which also looks at p of the slice before."""
    n = dual.shape[1]
    p, x = parts(dual), parts(image)
    skipped, last = int(slab.start == 0), min(slab.stop, n - 1)
    x[skipped:].add_(p[0, slab.start + skipped - 1 : slab.stop - 1], alpha=step)
    x[: last - slab.start].sub_(p[0, slab.start : last], alpha=step)
    add_divergence_in_planes_(x, p[:, slab], step)


def spread_divergence_(image: Tensor, dual: Tensor, slab: slice, step: float) -> None:
    """Image ← image + step · Dᴴp, of a p that is 0 but in the slices of a slab, the only ones given."""
    p, x = parts(dual), parts(image)
    last = min(slab.stop, x.shape[0] - 1)
    p0 = p[0, : last - slab.start]
    x[slab.start + 1 : last + 1].add_(p0, alpha=step)
    x[slab.start : last].sub_(p0, alpha=step)
    add_divergence_in_planes_(x[slab], p, step)


def add_divergence_in_planes_(x: Tensor, p: Tensor, step: float) -> None:
    x[:, 1:].add_(p[1, :, :-1], alpha=step)
    x[:, :-1].sub_(p[1, :, :-1], alpha=step)
    x[:, :, 1:].add_(p[2, :, :, :-1], alpha=step)
    x[:, :, :-1].sub_(p[2, :, :, :-1], alpha=step)


def add_laplacian_(out: Tensor, image: Tensor, slab: slice, step: float) -> None:
    """Out ← out + step · DᴴD image, with the differences in a slab and to the slice before it."""
    y, x = parts(out), parts(image)
    before = slice(max(slab.start - 1, 0), slab.stop)
    y0, x0 = y[before], x[before]
    add_steps_(y0[1:], y0[:-1], x0[1:] - x0[:-1], step)
    y, x = y[slab], x[slab]
    add_steps_(y[:, 1:], y[:, :-1], x[:, 1:] - x[:, :-1], step)
    add_steps_(y[:, :, 1:], y[:, :, :-1], x[:, :, 1:] - x[:, :, :-1], step)


def add_steps_(second: Tensor, first: Tensor, difference: Tensor, step: float) -> None:
    second.add_(difference, alpha=step)
    first.sub_(difference, alpha=step)


def squared_lengths(p: Tensor) -> Tensor:
    """Of the groups of three real or complex numbers."""
    first, second, third = parts(p)
    squares = (first * first).addcmul_(second, second).addcmul_(third, third)
    return squares[..., 0] + squares[..., 1] if p.is_complex() else squares


def squared_norm(shape: torch.Size) -> float:
    """‖D‖²."""
    return sum(4 * math.sin(math.pi / 2 * (n - 1) / n) ** 2 for n in shape)


def parts(x: Tensor) -> Tensor:
    return torch.view_as_real(x) if x.is_complex() else x
