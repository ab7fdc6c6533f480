"""The orthonormal wavelet transform, over any dims of any length."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from preimage.operators import LinearOperator, Norm
from preimage.space import Space
from preimage_variational.pieces import pieces
from preimage_variational.transforms.lattice import Lattice

CACHE_LINE = 64
"""Bytes. Even and odd samples that alternate in shorter runs are copied apart before they are worked on."""


class Wavelet(LinearOperator):
    """Ψ, unitary: the periodic separable wavelet transform of real or complex images.

    Coefficients stay where their samples were, interleaved: after a level the approximation is at the even indices
    along every transformed dim, and the next level transforms it in the same way. `approximation` indexes what is
    left in the end. Where all lengths divide by 2^levels the bands are those of PyWavelets' mode `periodization`.

    Of an odd length the last sample is left as it is, a part of the approximation; so Ψ is unitary, and has as many
    levels as are asked for, whatever the lengths. A dim of length 1 is left as it is.

    Parameters
    ----------
    space : of the image, and of its coefficients.
    dims : along which it is transformed; the others are independent images.
    wavelet : one of `preimage_variational.transforms.lattice.WAVELETS`.
    levels : how often the approximation is transformed again.
    """

    def __init__(self, space: Space, dims: Iterable[str], wavelet: str = "db4", levels: int = 3) -> None:
        super().__init__(space, space)
        self.axes = tuple(sorted(space.axis(dim) for dim in dims))
        self.levels = levels
        self.lattice = Lattice.of(wavelet)

    @property
    def approximation(self) -> tuple[slice, ...]:
        """The index, of the last dims of the coefficients, of the approximation that is left after all levels."""
        return self._every(2**self.levels)

    def analyse_(self, x: Tensor) -> Tensor:
        """Ψx, written over x, which is contiguous and belongs to the caller. Records no gradient."""
        return self._descend(x, self.levels)

    def synthesise_(self, w: Tensor) -> Tensor:
        """Ψᴴw, written over w, which is contiguous and belongs to the caller. Records no gradient."""
        return self._ascend(w, self.levels)

    def _apply(self, x: Tensor) -> Tensor:
        return self.analyse_(_copy(x))

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return self.synthesise_(_copy(y))

    def _apply_normal(self, x: Tensor) -> Tensor:
        return x

    def _bound(self) -> Norm:
        return Norm(1.0, "exact")

    def _descend(self, x: Tensor, levels: int) -> Tensor:
        if levels:
            for axis in self.axes:
                _along(axis, x, self.lattice.analyse_)
            coarse = x[self._even]
            coarse.copy_(self._descend(coarse.contiguous(), levels - 1))  # contiguous: strides would cost more
        return x

    def _ascend(self, w: Tensor, levels: int) -> Tensor:
        if levels:
            coarse = w[self._even]
            coarse.copy_(self._ascend(coarse.contiguous(), levels - 1))
            for axis in reversed(self.axes):
                _along(axis, w, self.lattice.synthesise_)
        return w

    @property
    def _even(self) -> Any:
        """The index of the approximation of one level, whatever the batch."""
        return (..., *self._every(2))

    def _every(self, stride: int) -> tuple[slice, ...]:
        ndim = len(self.domain.dims)  # type: ignore[union-attr]
        return tuple(slice(None, None, stride if axis in self.axes else None) for axis in range(-ndim, 0))


def _along(axis: int, x: Tensor, transform_: Callable[[Tensor, Tensor, int], None]) -> None:
    """Transform the even and odd samples along an axis in place, all other axes piece by piece."""
    length = x.shape[axis] // 2 * 2
    if not length:
        return
    for piece in pieces(x, (other for other in range(-x.ndim, 0) if other != axis)):
        even, odd = _every_other(piece, axis, 0, length), _every_other(piece, axis, 1, length)
        if piece.stride(axis) * piece.element_size() < CACHE_LINE:
            even_alone, odd_alone = even.contiguous(), odd.contiguous()
            transform_(_real(even_alone), _real(odd_alone), axis - 1)
            even.copy_(even_alone)
            odd.copy_(odd_alone)
        else:
            transform_(_real(even), _real(odd), axis - 1)


def _every_other(x: Tensor, axis: int, first: int, stop: int) -> Tensor:
    index: list[Any] = [slice(None)] * x.ndim
    index[axis] = slice(first, stop, 2)
    return x[tuple(index)]


def _real(x: Tensor) -> Tensor:
    """A view with a last dim of real and imaginary part, or of the real part alone: real arithmetic is faster."""
    return torch.view_as_real(x) if x.is_complex() else x.unsqueeze(-1)


def _copy(x: Tensor) -> Tensor:
    return x.resolve_conj().clone(memory_format=torch.contiguous_format)
