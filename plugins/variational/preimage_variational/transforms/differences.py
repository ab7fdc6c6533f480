"""Differences of neighbouring pixels, along any dims of an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from preimage.operators import LinearOperator, Norm
from preimage.space import Factor, Space
from preimage_variational.pieces import PIECE

ALONG = "along"
"""The first dim of what `Differences` gives: along which dim of the image a difference was taken."""

Index = tuple[slice, ...]
Finish = Callable[[Tensor], object]


class Differences(LinearOperator):
    """D: the difference to the next pixel, along each of some dims; 0 at the last pixel (Neumann's boundary).

    −Dᴴ is the divergence, and DᴴD the Laplacian whose eigenvectors along a dim are those of the cosine transform.

    Parameters
    ----------
    space : of real or complex images.
    dims : along which differences are taken. Before the image's dims the result has `along`, with an entry for each.
    spacing : length of a pixel along a dim, by which its differences are divided; 1 for a dim that is not named.
    """

    domain: Space
    codomain: Space

    def __init__(self, space: Space, dims: Iterable[str], spacing: Mapping[str, float] = MappingProxyType({})) -> None:
        self.dims = tuple(dims)
        self.axes = tuple(space.axis(dim) for dim in self.dims)
        self.weights = tuple(1 / spacing.get(dim, 1.0) for dim in self.dims)
        super().__init__(space, Space((ALONG, *space.dims), (len(self.dims), *space.shape), space.dtype))

    def add_applied_(self, y: Tensor, x: Tensor, alpha: float, finish: Finish | None = None) -> Tensor:
        """y + alpha · Dx, written over y, which belongs to the caller. Records no gradient.

        Parameters
        ----------
        finish : called with every piece of the result, to write over it while it is in the cache; a piece has all
            differences of its pixels.
        """
        image, differences = _real(x), self._unbound(y)
        cut, slabs = _slabs(image)
        for slab in slabs:
            for number, first, second in self._neighbours(image, cut, slab):
                weight = alpha * self.weights[number]
                differences[number][first].add_(image[second], alpha=weight).sub_(image[first], alpha=weight)
            if finish is not None:
                axis = cut if cut < x.ndim - self.domain.ndim else cut + 1  # `along` is after batch dims
                finish(y[(slice(None),) * axis + (slab,)])
        return y

    def add_adjoint_(self, x: Tensor, y: Tensor, alpha: float) -> Tensor:
        """x + alpha · Dᴴy, written over x, which belongs to the caller. Records no gradient."""
        image, differences = _real(x), self._unbound(y)
        for number, first, second in self._all_neighbours(image):
            weight, difference = alpha * self.weights[number], differences[number][first]
            image[second].add_(difference, alpha=weight)
            image[first].sub_(difference, alpha=weight)
        return x

    def _apply(self, x: Tensor) -> Tensor:
        y = x.new_zeros((*self.domain.batch(x), *self.codomain.shape))
        return self.add_applied_(y, x, 1.0)

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return self.add_adjoint_(y.new_zeros((*self.codomain.batch(y), *self.domain.shape)), y, 1.0)

    def _apply_normal(self, x: Tensor) -> Tensor:
        return self._add_laplacian(torch.zeros_like(x), x, 1.0)

    def _add_normal(self, y: Tensor, x: Tensor, alpha: Factor) -> Tensor:
        if not isinstance(alpha, float | int) or y.data_ptr() == x.data_ptr():
            return super()._add_normal(y, x, alpha)  # type: ignore[no-any-return]
        return self._add_laplacian(y, x, alpha)

    def _add_laplacian(self, y: Tensor, x: Tensor, alpha: float) -> Tensor:
        """y + alpha · DᴴD x, written over y: what one difference adds to its two pixels."""
        result, image = _real(y), _real(x)
        for number, first, second in self._all_neighbours(image):
            weight, difference = alpha * self.weights[number] ** 2, image[second] - image[first]
            result[second].add_(difference, alpha=weight)
            result[first].sub_(difference, alpha=weight)
        return y

    def _bound(self) -> Norm:
        lengths = [self.domain.shape[axis] for axis in self.axes]
        pairs = zip(self.weights, lengths, strict=True)
        return Norm(math.hypot(*(2 * weight * math.sin(math.pi / 2 * (n - 1) / n) for weight, n in pairs)), "exact")

    def _unbound(self, y: Tensor) -> tuple[Tensor, ...]:
        """The differences along each dim."""
        return _real(y).unbind(-self.domain.ndim - 2)

    def _all_neighbours(self, image: Tensor) -> Iterator[tuple[int, Index, Index]]:
        """Yield, slab by slab and dim by dim, where the first and where the second of all neighbours are."""
        cut, slabs = _slabs(image)
        for slab in slabs:
            yield from self._neighbours(image, cut, slab)

    def _neighbours(self, image: Tensor, cut: int, slab: slice) -> Iterator[tuple[int, Index, Index]]:
        """Yield the same for those of which the first is in a slab."""
        for number, axis in enumerate(self.axes):
            index = [slice(None)] * image.ndim
            index[cut] = slab
            n = image.shape[axis - 1]
            start, stop, _ = index[axis - 1].indices(n)
            first, second = list(index), list(index)
            first[axis - 1] = slice(start, min(stop, n - 1))
            second[axis - 1] = slice(start + 1, min(stop, n - 1) + 1)
            yield number, tuple(first), tuple(second)


def _slabs(image: Tensor) -> tuple[int, list[slice]]:
    """An axis, and pieces along it of an image that stay in cache together with their differences."""
    n = math.ceil(image.numel() * image.element_size() / PIECE) if image.device.type == "cpu" else 1
    lengths = image.shape[:-1]
    axis = next((axis for axis, length in enumerate(lengths) if length >= n), lengths.index(max(lengths)))
    thickness = max(1, math.ceil(lengths[axis] / max(n, 1)))
    return axis, [slice(start, start + thickness) for start in range(0, lengths[axis], thickness)]


def _real(x: Tensor) -> Tensor:
    """A view with a last dim of real and imaginary part, or of the real part alone: real arithmetic is faster."""
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x.unsqueeze(-1)
