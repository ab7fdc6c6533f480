"""The centred unitary Fourier transform: position and frequency 0 are at index n // 2 of a dim of length n."""

from __future__ import annotations

import math

import torch
from torch import Tensor, fft


def centred_fft(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """F x along the axes, for even and odd lengths."""
    kspace: Tensor = fft.fftshift(fft.fftn(fft.ifftshift(x, dim=axes), dim=axes, norm="ortho"), dim=axes)
    return kspace


def centred_ifft(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Fᴴ x = F⁻¹ x along the axes."""
    image: Tensor = fft.fftshift(fft.ifftn(fft.ifftshift(x, dim=axes), dim=axes, norm="ortho"), dim=axes)
    return image


def centred_slice(n: int, length: int) -> slice:
    """The `n` indices round frequency 0 of a dim: alone, they are centred again."""
    start = length // 2 - n // 2
    return slice(start, start + n)


def centred_range(n: int, device: torch.device | None = None) -> Tensor:
    """Position or frequency of every index of a dim, in double precision."""
    return torch.arange(n, dtype=torch.float64, device=device) - n // 2


def waves(frequencies: Tensor, places: Tensor, dtype: torch.dtype) -> Tensor:
    """exp(2πi · place · frequency), one row a place, one column a frequency.

    For a few frequencies and any places it is cheaper and smaller than a padded FFT; times 1 / √n it is unitary.

    Parameters
    ----------
    places : positions in units of the field of view, such as `centred_range(n) / n`.
    """
    phase = 2 * math.pi * places[:, None] * frequencies
    return torch.polar(torch.ones_like(phase), phase).to(dtype)


def along(matrix: Tensor, x: Tensor, axis: int) -> Tensor:
    """Apply a matrix along one axis."""
    return (x.movedim(axis, -1) @ matrix.mT).movedim(-1, axis)
