"""The far field of a modulated object."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from preimage.errors import SpaceError
from preimage.operators import LinearOperator, Norm
from preimage.space import Space, same_field
from preimage_optics.maps.magnitude import squared_magnitude

PATTERN = "pattern"


class Diffraction(LinearOperator):
    """y_l = F P (m_l · x): the object x is modulated, padded with zeros and Fourier transformed.

    F is unitary, so that AᴴA = Σ_l |m_l|² is diagonal; frequency 0 is in the middle of a pattern, as on a detector.

    Parameters
    ----------
    domain : space of the object, real or complex.
    dims : diffracted dims of the object, in its order; that of the data along `y` is called `ky`.
    modulation : (pattern, *dims) or (*dims), real or complex, of the object's lengths or 1. Without the axis `pattern`
        the data have none either.
    lengths : of a pattern along `dims`, at least the object's; default: the object's.

    References
    ----------
    Candès, Li & Soltanolkotabi, Phase retrieval from coded diffraction patterns, 2015.
    """

    domain: Space

    def __init__(
        self, domain: Space, dims: tuple[str, ...], modulation: Tensor, lengths: tuple[int, ...] | None = None
    ) -> None:
        self.lengths = tuple(domain.sizes[dim] for dim in dims) if lengths is None else lengths
        _check(domain, dims, modulation, self.lengths)
        patterns = modulation.shape[: modulation.ndim - len(dims)]
        super().__init__(domain, diffracted_space(domain, dims, patterns, self.lengths))
        self.complex_linear = domain.is_complex
        self.dims = dims
        self.axes = tuple(domain.axis(dim) for dim in dims)
        self.has_patterns = bool(patterns)
        along = dict(zip(dims, modulation.shape[len(patterns) :], strict=True))
        shape = (*patterns, *(along.get(dim, 1) for dim in domain.dims))
        self.modulation = modulation.reshape(shape).to(same_field(modulation.dtype, domain.dtype))
        self.ramp = _centring(domain, dims, self.lengths).to(modulation.device)

    def _apply(self, x: Tensor) -> Tensor:
        coded = x * self.ramp
        coded = (coded.unsqueeze(self._pattern) if self.has_patterns else coded) * self.modulation
        field: Tensor = torch.fft.fftn(coded, s=self.lengths, dim=self.axes, norm="ortho")
        return field

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        padded: Tensor = torch.fft.ifftn(y, dim=self.axes, norm="ortho")
        for dim, axis in zip(self.dims, self.axes, strict=True):
            padded = padded.narrow(axis, 0, self.domain.sizes[dim])
        if torch.is_grad_enabled():
            x = self._summed(padded * self.modulation.conj()) * self.ramp.conj()
        else:  # our own temporary, and its conjugate in place instead of copies of the masks' and of the ramp's
            x = (self._summed(padded.conj_physical_().mul_(self.modulation)) * self.ramp).conj_physical_()
        return x if self.domain.is_complex else x.real

    def _apply_normal(self, x: Tensor) -> Tensor:
        return x * self._energy()

    def _bound(self) -> Norm:
        return Norm(math.sqrt(float(self._energy().max())), "exact")

    def solve_normal(self, rhs: Tensor, damping: Any) -> Tensor:
        """Divide by Σ|m|² + damping."""
        return torch.divide(rhs, self._energy() + damping)

    def pinv(self, y: Tensor) -> Tensor:
        """Aᴴy / Σ|m|², and 0 where no modulation lets light through."""
        energy = self._energy()
        return self._apply_adjoint(y) * (energy + (energy == 0)).reciprocal()  # where no light comes through Aᴴy is 0

    @property
    def _pattern(self) -> int:
        """The axis of the patterns, before all dims of the object."""
        return -self.domain.ndim - 1

    def _summed(self, coded: Tensor) -> Tensor:
        """The sum over the patterns, where there are any."""
        return coded.sum(self._pattern) if self.has_patterns else coded

    def _energy(self) -> Tensor:
        """Σ_l |m_l|² for each element of the object, or broadcast along it."""
        return squared_magnitude(self.modulation, (self._pattern,) if self.has_patterns else ())


def diffracted_space(
    domain: Space, dims: tuple[str, ...], patterns: tuple[int, ...], lengths: tuple[int, ...]
) -> Space:
    """The space of the patterns: complex, with a dim `ky` in the place of each diffracted `y`."""
    along = dict(zip(dims, lengths, strict=True))
    names = tuple(f"k{dim}" if dim in along else dim for dim in domain.dims)
    shape = tuple(along.get(dim, n) for dim, n in domain.sizes.items())
    return Space((PATTERN,) * len(patterns) + names, (*patterns, *shape), domain.dtype.to_complex())


def _centring(domain: Space, dims: tuple[str, ...], lengths: tuple[int, ...]) -> Tensor:
    """e^(2πi c·r/N), of which the Fourier transform is shifted by c = N // 2; as in `fftshift`, and for nothing."""
    angle = torch.zeros((1,) * domain.ndim, dtype=torch.float64)
    for dim, n in zip(dims, lengths, strict=True):
        turns = torch.arange(domain.sizes[dim], dtype=torch.float64) * (n // 2) / n
        angle = angle + 2 * math.pi * turns.reshape([-1 if name == dim else 1 for name in domain.dims])
    return torch.polar(torch.ones_like(angle), angle).to(domain.dtype.to_complex())


def _check(domain: Space, dims: tuple[str, ...], modulation: Tensor, lengths: tuple[int, ...]) -> None:
    sizes = [domain.sizes[dim] for dim in dims]
    if modulation.ndim not in (len(dims), len(dims) + 1) or any(
        m not in (1, n) for m, n in zip(modulation.shape[modulation.ndim - len(dims) :], sizes, strict=True)
    ):
        raise SpaceError(
            f"a modulation of {', '.join(dims)} has an axis for each, of length 1 or {sizes}, and one of patterns or "
            f"none before: this one has the shape {tuple(modulation.shape)}"
        )
    if any(n < size for n, size in zip(lengths, sizes, strict=True)):
        raise SpaceError(f"a pattern is no shorter than the object, {sizes} along {', '.join(dims)}: not {lengths}")
