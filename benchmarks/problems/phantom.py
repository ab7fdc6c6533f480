"""What is imaged, and how it is transformed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Complex = NDArray[np.complexfloating]

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


def grid(*lengths: int) -> list[NDArray]:
    """Positions from −1 to below 1 along dims of these lengths, 0 at index n // 2."""
    return np.meshgrid(*[(np.arange(n) - n // 2) / (n / 2) for n in lengths], indexing="ij", sparse=True)


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


def centred(transform, array: NDArray, axes: tuple[int, ...] = (-3, -2, -1)) -> Complex:
    """A unitary Fourier transform with position and frequency 0 at index n // 2."""
    shifted = np.fft.ifftshift(array, axes)
    return np.fft.fftshift(transform(shifted, axes=axes, norm="ortho"), axes)
