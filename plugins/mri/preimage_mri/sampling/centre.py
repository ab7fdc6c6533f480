"""The fully sampled centre of k-space."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from preimage_mri.fourier import centred_slice


def centre_box(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """Lengths of the largest centred box in which every sample is True; zeros where frequency 0 is not sampled.

    A box of length n along a dim of length N covers the indices N // 2 − n // 2 … + n, as `centred_slice` says.
    """
    inside = mask
    for axis, n in enumerate(mask.shape):
        inside = np.logical_and.accumulate(np.take(inside, _outwards(n), axis), axis)
    if not inside.any():
        return (0,) * mask.ndim
    volume = math.prod(np.ix_(*(np.arange(1, n + 1) for n in mask.shape)), start=1)
    largest = np.unravel_index(np.argmax(inside * volume), mask.shape)
    return tuple(int(i) + 1 for i in largest)


def _outwards(n: int) -> NDArray[np.intp]:
    """Indices of a dim in the order in which growing centred boxes take them in."""
    distance = np.arange(n) - n // 2
    return np.argsort(np.where(distance < 0, -2 * distance - 1, 2 * distance))


def box_mask(sizes: Mapping[str, int], box: Mapping[str, int]) -> NDArray[np.bool_]:
    """True inside a centred box; along dims that it does not name it is as long as they are."""
    mask = np.zeros(tuple(sizes.values()), bool)
    mask[tuple(centred_slice(box.get(dim, n), n) for dim, n in sizes.items())] = True
    return mask
