"""Coded diffraction patterns of a transparent object.

modulation  complex64 (pattern, y, x), eight values: Candès, Li & Soltanolkotabi, 2015
amplitudes  float32 (pattern, ky, kx), |F (modulation · object)| with noise; F is centred and unitary
truth       complex128 (y, x)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from problems.phantom import Complex, centred, grid, phantom

N_PATTERNS = 6
NOISE = 0.02
"""Standard deviation of the noise on amplitudes, whose mean square is about 0.8."""


def make(size: int) -> dict[str, NDArray]:
    """Generate the problem with `size` pixels along every dim."""
    generator = np.random.default_rng(0)
    z, y = grid(size, size)
    thickness = np.abs(phantom(np.zeros((1, 1)), z, y))
    truth = (1 - 0.4 * thickness) * np.exp(1.5j * thickness)
    modulation = octanary((N_PATTERNS, size, size), generator).astype(np.complex64)
    amplitudes = np.abs(centred(np.fft.fftn, modulation * truth, (-2, -1)))
    noisy = amplitudes + NOISE * generator.standard_normal(amplitudes.shape)
    return {"modulation": modulation, "amplitudes": noisy.clip(0).astype(np.float32), "truth": truth}


def octanary(shape: tuple[int, ...], generator: np.random.Generator) -> Complex:
    """A phase of {1, i, −1, −i} times √½ with probability 0.8, else √3."""
    phases = 1j ** generator.integers(4, size=shape)
    return phases * np.where(generator.random(shape) < 0.8, np.sqrt(0.5), np.sqrt(3))
