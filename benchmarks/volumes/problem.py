"""The data: 3D multi-coil Cartesian MRI of any size, written as a chunked Zarr dataset coil by coil.

Ellipsoids with a smooth phase, rings of coils round them, a quarter of the phase encodes with a full centre, noise of
0.01. k-space is as a scanner gives it: (coil, kx, kz, ky) with a fully sampled readout kx, and 0 where nothing was
sampled. Only one coil is in memory at a time, so that a volume may be larger than that.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

import preimage
from preimage.data import lazy

NOISE = 0.01
"""Standard deviation of the noise, E|n|² = NOISE²; the image's largest magnitude is about 1."""
ACCELERATION = 4
ELLIPSOIDS = (
    (1.0, (0.90, 0.69, 0.92), (0.0, 0.0, 0.0)),
    (-0.7, (0.84, 0.62, 0.84), (0.0, 0.0, -0.02)),
    (-0.2, (0.40, 0.15, 0.31), (0.1, 0.22, 0.0)),
    (0.3, (0.42, 0.21, 0.25), (0.2, 0.0, 0.35)),
    (0.4, (0.06, 0.046, 0.023), (-0.2, -0.08, -0.605)),
)
"""Value, half axes and centre along x, z, y."""
READ_AT_ONCE = 8
"""Slices, and planes of phase encodes, in a chunk."""


@dataclass(frozen=True)
class Size:
    """How large a problem is."""

    coils: int
    x: int
    z: int
    y: int

    def __str__(self) -> str:
        """Such as 8 × 96 × 96 × 96."""
        return " × ".join(map(str, astuple(self)))

    @property
    def nbytes(self) -> int:
        """Of k-space; the sensitivities have as many."""
        return 8 * self.coils * self.x * self.z * self.y


def write(size: Size, path: Path) -> Path:
    """Generate the problem, the same every time, and store it."""
    positions = grid(size)
    truth = phantom(*positions)
    energy = sum(squared(coil(i, size.coils, *positions)) for i in range(size.coils))
    norm = np.sqrt(energy)
    weight = torch.from_numpy(truth / norm)
    generator = np.random.default_rng(0)
    mask = variable_density(size.z, size.y, generator)

    def sensitivity(index: tuple[int | slice, ...]) -> NDArray[np.complex64]:
        first, *rest = index
        return np.stack([coil(i, size.coils, *positions) / norm for i in chosen(first, size.coils)])[:, *rest]

    def kspace(index: tuple[int | slice, ...]) -> NDArray[np.complex64]:
        first, *rest = index
        return np.stack([one_kspace(i) for i in chosen(first, size.coils)])[:, *rest]

    def one_kspace(i: int) -> NDArray[np.complex64]:
        image = torch.from_numpy(coil(i, size.coils, *positions))
        clean = torch.fft.fftn(torch.fft.ifftshift(image.mul_(weight)), norm="ortho")
        measured = torch.fft.fftshift(clean).numpy()[:, mask]
        noise = generator.standard_normal((*measured.shape, 2), np.float32).view(np.complex64)[..., 0]
        values = np.zeros(image.shape, np.complex64)
        values[:, mask] = measured + np.float32(NOISE * math.sqrt(0.5)) * noise
        return values

    shape = (size.coils, size.x, size.z, size.y)
    dataset = xr.Dataset(
        {
            "measurement": lazy(("coil", "kx", "kz", "ky"), shape, "complex64", kspace),
            "sensitivities": lazy(("coil", "x", "z", "y"), shape, "complex64", sensitivity),
            "mask": (("kz", "ky"), mask, {"small": True}),
        }
    )
    chunks = {"coil": 1, "kx": size.x, "kz": READ_AT_ONCE, "x": READ_AT_ONCE}
    preimage.write_dataset(dataset, path, chunks=chunks)
    return path


def squared(values: NDArray[np.complex64]) -> NDArray[np.float32]:
    return values.real**2 + values.imag**2


def chosen(index: int | slice, n: int) -> range:
    return range(n)[index] if isinstance(index, slice) else range(index, index + 1)


def grid(size: Size) -> list[NDArray[np.float32]]:
    """Positions from −1 to below 1 along x, z and y, 0 at index n // 2."""
    lengths = (size.x, size.z, size.y)
    along = [((np.arange(n) - n // 2) / max(n / 2, 1)).astype(np.float32) for n in lengths]
    return np.meshgrid(*along, indexing="ij", sparse=True)


def phantom(x: NDArray, z: NDArray, y: NDArray) -> NDArray[np.complex64]:
    magnitude = np.zeros(np.broadcast_shapes(x.shape, z.shape, y.shape), np.float32)
    for value, axes, centre in ELLIPSOIDS:
        squares = (((p - c) / a) ** 2 for p, c, a in zip((x, z, y), centre, axes, strict=True))
        magnitude += np.float32(value) * (sum(squares) <= 1)
    return magnitude * np.exp(np.complex64(1j) * (0.8 * z - 0.5 * y * x))


def coil(i: int, n: int, x: NDArray, z: NDArray, y: NDArray) -> NDArray[np.complex64]:
    """One of two rings of coils round x, every second of which lies further along it."""
    angle = 2 * math.pi * i / n
    cos, sin = math.cos(angle), math.sin(angle)  # not numpy's, which would make all that follows double precision
    dx, dz, dy = x - 0.6 * (-1) ** i, z - 1.5 * cos, y - 1.5 * sin
    distance2 = dx**2 + dz**2 + dy**2
    field = np.empty(distance2.shape, np.complex64)
    field.real, field.imag = cos * dz + sin * dy, 0.7 * dx - 0.4
    field /= distance2 * np.sqrt(distance2)
    return field


def variable_density(n_z: int, n_y: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Exactly 1 / ACCELERATION of the phase encodes: a full centre of a quarter of the lengths, then thinning out."""
    z, y = ((np.arange(n) - n // 2) / (n / 2) for n in (n_z, n_y))
    density = 1 / (0.05 + z[:, None] ** 2 + y**2)
    order = generator.exponential(size=density.shape) / density  # the smallest: drawn without replacement
    order[np.ix_(np.abs(z) <= 0.25, np.abs(y) <= 0.25)] = 0
    mask = np.zeros(n_z * n_y, dtype=bool)
    mask[np.argsort(order, axis=None)[: n_z * n_y // ACCELERATION]] = True
    return mask.reshape(n_z, n_y)
