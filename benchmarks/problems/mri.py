"""3D multi-coil Cartesian MRI.

Dims are coil, x, z, y, with x the fully sampled readout.

    sensitivities    complex64 (coil, x, z, y), with a root-sum-of-squares of 1
    mask             bool (kz, ky)
    kspace           complex64 (coil, kx, kz, ky), 0 where not sampled; Fourier transforms are centred and unitary
    hybrid           complex64 (coil, x, kz, ky), the same after the inverse transform of the readout
    truth            complex128 (x, z, y)
    normal_of_truth  complex128 (x, z, y), AᴴA truth in double precision
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from problems.phantom import Complex, centred, grid, phantom

N_COILS = 8
ACCELERATION = 4
NOISE = 0.01
"""Standard deviation of the noise, E|n|² = NOISE²; the image's largest magnitude is about 1."""


def cube(size: int) -> dict[str, NDArray]:
    """Generate the problem with `size` voxels along every dim."""
    return make(size, size, size)


def slab(size: int) -> dict[str, NDArray]:
    """Generate the problem with `size` voxels along x and z, and two thirds of that along y."""
    return make(size, size, size * 2 // 3)


def make(*lengths: int) -> dict[str, NDArray]:
    """Generate the problem with so many voxels along x, z and y."""
    generator = np.random.default_rng(0)
    x, z, y = grid(*lengths)
    truth = phantom(x, z, y)
    sensitivities = coils(x, z, y).astype(np.complex64)
    mask = variable_density(*lengths[1:], generator)
    kspace = np.empty(sensitivities.shape, np.complex64)
    hybrid = np.empty_like(kspace)
    normal = np.zeros_like(truth)
    for coil, sensitivity in enumerate(sensitivities.astype(np.complex128)):
        clean = centred(np.fft.fftn, sensitivity * truth) * mask
        normal += sensitivity.conj() * centred(np.fft.ifftn, clean)
        parts = generator.standard_normal((2, *truth.shape))
        kspace[coil] = clean + NOISE * np.sqrt(0.5) * (parts[0] + 1j * parts[1]) * mask
        hybrid[coil] = centred(np.fft.ifftn, kspace[coil], (0,))
    return {
        "sensitivities": sensitivities,
        "mask": mask,
        "kspace": kspace,
        "hybrid": hybrid,
        "truth": truth,
        "normal_of_truth": normal,
    }


def coils(x: NDArray, z: NDArray, y: NDArray) -> Complex:
    """Two rings of coils, the second turned by half a step: they differ along the readout, and are not separable."""
    fields = []
    for coil in range(N_COILS):
        angle = 2 * np.pi * coil / N_COILS
        dx = x - 0.6 * (-1) ** coil
        dz, dy = z - 1.5 * np.cos(angle), y - 1.5 * np.sin(angle)
        distance2 = dx**2 + dz**2 + dy**2
        fields.append((np.cos(angle) * dz + np.sin(angle) * dy + 0.7j * dx - 0.4j) / distance2**1.5)
    stacked = np.stack(fields)
    return stacked / np.sqrt((np.abs(stacked) ** 2).sum(0))


def variable_density(n_z: int, n_y: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Exactly 1 / ACCELERATION of the phase encodes: a full centre of a quarter of the lengths, then thinning out."""
    kz, ky = grid(n_z, n_y)
    density = 1 / (0.05 + kz**2 + ky**2)
    centre = tuple(slice(n // 2 - n // 8, n // 2 - n // 8 + n // 4) for n in density.shape)
    order = generator.exponential(size=density.shape) / density  # the smallest: drawn without replacement
    order[centre] = 0
    chosen = np.argsort(order, axis=None)[: n_z * n_y // ACCELERATION]
    mask = np.zeros(n_z * n_y, dtype=bool)
    mask[chosen] = True
    return mask.reshape(n_z, n_y)
