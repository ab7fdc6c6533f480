"""Soft thresholding of wavelet coefficients at the limit: a lifting transform, interleaved in place."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SLICES = 4
"""Of the approximation, that go through the last dim together."""
ROOT3 = math.sqrt(3)
CROSS = (2 - ROOT3) * 4 / 3
SCALE = (3 + ROOT3) / math.sqrt(32)


def shrink_wavelets_(w: Tensor, threshold: float, levels: int) -> None:
    """Ψᴴ soft(Ψw) in place, with periodic orthonormal db2 wavelets along all three dims, of even lengths.

    Coefficients stay interleaved. Real and imaginary parts are lifted as they lie, but along the last dim: even and
    odd samples are copied apart there.
    """
    for axis in (-3, -2):
        lift_(every_other(w, axis, 0), every_other(w, axis, 1), axis)
    coarse = w.new_empty([n // 2 for n in w.shape])
    for piece, approximation in zip(w.split(2 * SLICES), coarse.split(SLICES), strict=True):
        even, odd = piece[..., 0::2].contiguous(), piece[..., 1::2].contiguous()
        lift_(even, odd, -1)
        approximation.copy_(even[::2, ::2])
        piece[..., 0::2], piece[..., 1::2] = shrink_(even, threshold), shrink_(odd, threshold)
    if levels > 1:
        shrink_wavelets_(coarse, threshold, levels - 1)
    else:
        shrink_(coarse, threshold)
    for piece, approximation in zip(w.split(2 * SLICES), coarse.split(SLICES), strict=True):
        even, odd = piece[..., 0::2].contiguous(), piece[..., 1::2].contiguous()
        even[::2, ::2] = approximation
        unlift_(even, odd, -1)
        piece[..., 0::2], piece[..., 1::2] = even, odd
    for axis in (-2, -3):
        unlift_(every_other(w, axis, 0), every_other(w, axis, 1), axis)


def shrink_(w: Tensor, threshold: float) -> Tensor:
    """max(0, 1 − threshold/|w|) · w."""
    squares = torch.view_as_real(w).square()
    magnitude2 = squares[..., 0] + squares[..., 1]
    return w.mul_(magnitude2.clamp_min_(threshold**2).rsqrt_().mul_(-threshold).add_(1))


def every_other(w: Tensor, axis: int, first: int) -> Tensor:
    index: list[slice] = [slice(None)] * w.ndim
    index[axis] = slice(first, None, 2)
    return w[tuple(index)]


def lift_(even: Tensor, odd: Tensor, axis: int) -> None:
    """The lifting steps of db2: even samples become the approximation, odd ones the details."""
    a, d, axis = torch.view_as_real(even), torch.view_as_real(odd), axis - 1
    add_before_(a, d, axis, 1 / ROOT3)
    add_after_(d, a, axis, -ROOT3 / 4)
    a.add_(d, alpha=CROSS)
    d.sub_(a, alpha=3 / 16)
    a.mul_(SCALE)
    d.mul_(1 / SCALE)


def unlift_(even: Tensor, odd: Tensor, axis: int) -> None:
    a, d, axis = torch.view_as_real(even), torch.view_as_real(odd), axis - 1
    a.mul_(1 / SCALE)
    d.mul_(SCALE)
    d.add_(a, alpha=3 / 16)
    a.sub_(d, alpha=CROSS)
    add_after_(d, a, axis, ROOT3 / 4)
    add_before_(a, d, axis, -1 / ROOT3)


def add_before_(u: Tensor, v: Tensor, axis: int, factor: float) -> None:
    """u[i] += factor · v[i − 1], periodically."""
    n = u.shape[axis]
    u.narrow(axis, 1, n - 1).add_(v.narrow(axis, 0, n - 1), alpha=factor)
    u.narrow(axis, 0, 1).add_(v.narrow(axis, n - 1, 1), alpha=factor)


def add_after_(u: Tensor, v: Tensor, axis: int, factor: float) -> None:
    """u[i] += factor · v[i + 1], periodically."""
    n = u.shape[axis]
    u.narrow(axis, 0, n - 1).add_(v.narrow(axis, 1, n - 1), alpha=factor)
    u.narrow(axis, n - 1, 1).add_(v.narrow(axis, 0, 1), alpha=factor)
