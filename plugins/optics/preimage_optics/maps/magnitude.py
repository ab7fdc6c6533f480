"""Magnitudes of complex numbers."""

from __future__ import annotations

import torch
from torch import Tensor


def squared_magnitude(u: Tensor, axes: tuple[int, ...] = (), *, keepdim: bool = False) -> Tensor:
    """|u|², real, of real or complex numbers, summed over some axes, which are negative.

    By squares: several times faster than by `abs`, which is also right where squares over- or underflow.
    """
    is_complex = u.is_complex()
    squares = (torch.view_as_real(u.resolve_conj()) if is_complex else u).square()
    if axes:
        squares = squares.sum([axis - is_complex for axis in axes], keepdim)
    return squares[..., 0] + squares[..., 1] if is_complex else squares
