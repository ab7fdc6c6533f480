"""Which samples of k-space are taken: patterns as functions of sizes, settings and a seed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from preimage.errors import RequestError
from preimage_mri.sampling.centre import box_mask

Mask = NDArray[np.bool_]


def regular(sizes: Mapping[str, int], acceleration: int, centre: Mapping[str, int]) -> Mask:
    """Every so many lines along one dim, frequency 0 among them, and all lines of the centre."""
    (n,) = sizes.values()
    lines: Mask = (np.arange(n) - n // 2) % acceleration == 0
    return lines | box_mask(sizes, centre) if centre else lines


def variable_density(
    sizes: Mapping[str, int], acceleration: float, centre: Mapping[str, int], power: float, seed: int
) -> Mask:
    """Random samples that become rarer outwards; their number is the number of all divided by the acceleration.

    All of the centre is taken. The rest are drawn without replacement, one after the other, each with a chance
    in proportion to (1 − r)^power among those that are left, where r is 0 at frequency 0 and 1 in the corners.

    Raises
    ------
    RequestError : the centre alone has more samples than there are to be.

    References
    ----------
    Lustig et al., Sparse MRI, Magnetic Resonance in Medicine 58, 2007.
    Efraimidis and Spirakis, Weighted random sampling with a reservoir, Information Processing Letters 97, 2006.
    """
    shape = tuple(sizes.values())
    mask: Mask = box_mask(sizes, centre) if centre else np.zeros(shape, bool)
    n_samples = max(1, round(mask.size / acceleration))
    n_drawn = n_samples - int(mask.sum())
    if n_drawn < 0:
        raise RequestError(
            f"the centre {dict(centre)} alone has {int(mask.sum())} samples, and {mask.size} samples / acceleration "
            f"{acceleration:g} leave {n_samples}: choose a smaller centre or acceleration"
        )
    weight = np.maximum((1 - _radius(shape)) ** power, 1e-6)
    # the largest log(u) / weight are a weighted draw without replacement
    key = np.log(np.random.default_rng(seed).random(shape)) / weight
    key[mask] = -np.inf
    mask.flat[np.argsort(-key, axis=None, kind="stable")[:n_drawn]] = True
    return mask


def _radius(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Distance from frequency 0, 1 in the corner that is farthest away."""
    along = [((np.arange(n) - n // 2) / max(n // 2, 1)) ** 2 for n in shape]
    squares = np.zeros(shape)
    for axis, square in enumerate(along):
        squares += np.expand_dims(square, tuple(i for i in range(len(shape)) if i != axis))
    return np.sqrt(squares / len(shape))


def held_out(mask: Mask, centre: Mask, share: float, seed: int) -> Mask:
    """A share of the samples outside the centre, at least one, drawn at random.

    Raises
    ------
    RequestError : there is no sample outside the centre.
    """
    candidates = np.flatnonzero(mask & ~centre)
    if candidates.size == 0:
        raise RequestError("hold_out: there is no sample outside the centre that could be held out")
    chosen = np.zeros(mask.shape, bool)
    n_held = max(1, round(share * candidates.size))
    generator = np.random.default_rng([seed, 1])  # other numbers than those that drew the mask
    chosen.flat[generator.permutation(candidates)[:n_held]] = True
    return chosen
