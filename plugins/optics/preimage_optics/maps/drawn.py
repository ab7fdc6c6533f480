"""Modulations and matrices drawn at random: functions of a seed, and the same for every block."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from preimage.randomness import Draw, derive_seed


def octanary_modulation(shape: tuple[int, ...], seed: int) -> Tensor:
    """Complex masks of which each element has one of eight values: E|m|² = 1, E|m|⁴ = 2.

    A phase of {1, −1, i, −i} times √½ with probability 0.8, else √3.

    References
    ----------
    Candès, Li & Soltanolkotabi, Phase retrieval from coded diffraction patterns, 2015.
    """
    phases = torch.tensor([1, 1j, -1, -1j], dtype=torch.complex128)
    magnitudes = torch.tensor([0.5, 3.0], dtype=torch.float64).sqrt()
    quarter = (4 * _whole("phase", shape, seed).uniform(shape, torch.float64)).long()
    rare = _whole("magnitude", shape, seed).uniform(shape, torch.float64) >= 0.8
    return phases[quarter] * magnitudes[rare.long()]


def gaussian_matrix(n_samples: int, n_pixels: int, seed: int) -> Tensor:
    """Complex N(0, 1) entries over √n_pixels: E‖Ax‖² = ‖x‖² · n_samples/n_pixels, as of as many unitary patterns."""
    shape = (n_samples, n_pixels)
    return _whole("matrix", shape, seed).normal(shape, torch.complex128) / math.sqrt(n_pixels)


def _whole(what: str, shape: tuple[int, ...], seed: int) -> Draw:
    return Draw(derive_seed(seed, "phase-retrieval", what), (0,) * len(shape), shape)
