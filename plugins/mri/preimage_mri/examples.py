"""Small generated datasets, on which the methods of this pack are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preimage_mri.dims import COIL, in_image_space, without_coil


def complex_noise(generator: np.random.Generator, shape: Sequence[int], dtype: Any = np.complex64) -> NDArray[Any]:
    """White noise with E|n|² = 1."""
    parts = generator.standard_normal((2, *shape))
    noise: NDArray[Any] = (parts[0] + 1j * parts[1]) * 0.5**0.5
    return noise.astype(dtype)


def kspace_dataset(
    sizes: Mapping[str, int], mask_dims: Sequence[str] = (), *, sensitivities: bool = False, seed: int = 0
) -> xr.Dataset:
    """A measurement of noise with dims of these lengths, a mask of half of k-space, sensitivities of noise.

    Parameters
    ----------
    sizes : dims of the measurement and their lengths.
    mask_dims : dims of the mask; none: there is no mask.
    sensitivities : whether there are any.
    """
    generator = np.random.default_rng(seed)
    dataset = xr.Dataset({"measurement": (list(sizes), complex_noise(generator, list(sizes.values())))})
    if mask_dims:
        mask = generator.random([sizes[dim] for dim in mask_dims]) < 0.5
        mask[tuple(n // 2 for n in mask.shape)] = True  # never empty
        dataset["mask"] = (list(mask_dims), mask, {"small": True})
    if sensitivities:
        dims = (COIL, *in_image_space(without_coil(sizes)))
        shape = [sizes[COIL], *(sizes[dim] for dim in without_coil(sizes))]
        dataset["sensitivities"] = (dims, complex_noise(generator, shape))
    return dataset


def ball(sizes: Mapping[str, int], radius: float = 0.8) -> NDArray[np.float32]:
    """An image of a ball with a smooth inside, of these lengths."""
    axes = [(np.arange(n) - n // 2) / max(n / 2, 1) for n in sizes.values()]
    grid = np.meshgrid(*axes, indexing="ij")
    distance = np.sqrt(sum(x**2 for x in grid)) if grid else np.zeros(())
    inside = 1 + 0.3 * np.cos(4 * sum((i + 1) * x for i, x in enumerate(grid)))
    return np.where(distance < radius, inside, 0).astype(np.float32)
