"""The problem that all implementations solve: 3D multi-coil Cartesian MRI, generated, the same every time."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Complex = NDArray[np.complexfloating]

N_COILS = 8
ACCELERATION = 4
NOISE = 0.01
"""Standard deviation of the noise, E|n|² = NOISE²; the image's largest magnitude is about 1."""
PHASE_ENCODES = (-2, -1)

# Of the head-like truth: value, half axes and centre along x, z, y, and angle in the plane (radians).
ELLIPSOIDS = (
    (1.0, (0.90, 0.69, 0.92), (0.0, 0.0, 0.0), 0.0),
    (-0.7, (0.84, 0.62, 0.84), (0.0, 0.0, -0.02), 0.0),
    (-0.2, (0.40, 0.12, 0.31), (0.1, 0.22, 0.0), -0.31),
    (-0.2, (0.50, 0.16, 0.41), (-0.1, -0.22, 0.0), 0.31),
    (0.3, (0.42, 0.21, 0.25), (0.2, 0.0, 0.35), 0.0),
    (0.3, (0.10, 0.046, 0.046), (0.0, 0.0, 0.1), 0.0),
    (0.3, (0.05, 0.046, 0.046), (0.3, 0.0, -0.1), 0.0),
    (0.4, (0.06, 0.046, 0.023), (-0.2, -0.08, -0.605), 0.0),
    (0.4, (0.06, 0.023, 0.046), (-0.2, 0.06, -0.605), 0.0),
)


@dataclass(frozen=True)
class Data:
    """What an implementation is given; dims are coil, x, z, y, with x the fully sampled readout.

    Attributes
    ----------
    sensitivities : complex64 (coil, x, z, y), with a root-sum-of-squares of 1.
    mask : bool (kz, ky).
    kspace : complex64 (coil, kx, kz, ky), 0 where not sampled; Fourier transforms are centred and unitary.
    hybrid : complex64 (coil, x, kz, ky), the same after the inverse transform of the readout.
    truth : complex128 (x, z, y).
    normal_of_truth : complex128 (x, z, y), AᴴA truth in double precision.
    """

    sensitivities: Complex
    mask: NDArray[np.bool_]
    kspace: Complex
    hybrid: Complex
    truth: Complex
    normal_of_truth: Complex

    def save(self, folder: Path) -> None:
        for field in fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name))


def load(folder: Path, name: str) -> NDArray[np.generic]:
    """Read one array of the data: nobody holds what he does not use."""
    return np.load(folder / f"{name}.npy", allow_pickle=False)


def make(size: int, seed: int = 0) -> Data:
    """Generate the problem with `size` voxels along every dim."""
    generator = np.random.default_rng(seed)
    x, z, y = np.meshgrid(*[(np.arange(size) - size // 2) / (size / 2)] * 3, indexing="ij", sparse=True)
    truth = phantom(x, z, y)
    sensitivities = coils(x, z, y).astype(np.complex64)
    mask = variable_density(size, generator)
    kspace = np.empty(sensitivities.shape, np.complex64)
    hybrid = np.empty_like(kspace)
    normal = np.zeros_like(truth)
    for coil, sensitivity in enumerate(sensitivities.astype(np.complex128)):
        clean = centred(np.fft.fftn, sensitivity * truth) * mask
        normal += sensitivity.conj() * centred(np.fft.ifftn, clean)
        parts = generator.standard_normal((2, *truth.shape))
        kspace[coil] = clean + NOISE * np.sqrt(0.5) * (parts[0] + 1j * parts[1]) * mask
        hybrid[coil] = centred(np.fft.ifftn, kspace[coil], (0,))
    return Data(sensitivities, mask, kspace, hybrid, truth, normal)


def phantom(x: NDArray, z: NDArray, y: NDArray) -> Complex:
    """Ellipsoids with a smooth phase."""
    magnitude = np.zeros(np.broadcast_shapes(x.shape, z.shape, y.shape))
    for value, axes, centre, angle in ELLIPSOIDS:
        dx, dz, dy = x - centre[0], z - centre[1], y - centre[2]
        along_z = np.cos(angle) * dz + np.sin(angle) * dy
        along_y = np.cos(angle) * dy - np.sin(angle) * dz
        inside = (dx / axes[0]) ** 2 + (along_z / axes[1]) ** 2 + (along_y / axes[2]) ** 2 <= 1
        magnitude += value * inside
    return magnitude * np.exp(1j * (0.8 * z - 0.5 * y * x + 0.6 * np.cos(2 * y)))


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


def variable_density(size: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Exactly 1 / ACCELERATION of the phase encodes: a full centre of a quarter of the lengths, then thinning out."""
    k = (np.arange(size) - size // 2) / (size / 2)
    density = 1 / (0.05 + k[:, None] ** 2 + k**2)
    centre = slice(size // 2 - size // 8, size // 2 - size // 8 + size // 4)
    order = generator.exponential(size=density.shape) / density  # the smallest: drawn without replacement
    order[centre, centre] = 0
    chosen = np.argsort(order, axis=None)[: size * size // ACCELERATION]
    mask = np.zeros(size * size, dtype=bool)
    mask[chosen] = True
    return mask.reshape(size, size)


def centred(transform, array: NDArray, axes: tuple[int, ...] = (-3, -2, -1)) -> Complex:
    """A unitary Fourier transform with position and frequency 0 at index n // 2."""
    shifted = np.fft.ifftshift(array, axes)
    return np.fft.fftshift(transform(shifted, axes=axes, norm="ortho"), axes)
