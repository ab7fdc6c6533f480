"""Randomness that depends on keys alone: the same on every device, in any order, after any resume."""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from preimage.space import AnySpace, Blocks

MANY = 1000
"""Expected counts from which a Poisson quantile is a closed form: it is off by one count about once in 25 000 draws."""


def derive_seed(*key: int | str) -> int:
    """A 63-bit seed from a key, such as the run's seed, the stage and the origin of a block."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass(frozen=True)
class Seed:
    """The state of a stream of random numbers: two integers, so that a step is a function of its state.

    Element i of a batch draws with the key (value, draws, i), a lone problem as element 0: samples of a
    batch differ, and each equals the sample of its own lone problem under that key.
    """

    value: int
    draws: int = 0

    def normal(
        self, space: AnySpace, batch: tuple[int, ...] = (), device: torch.device | str | None = None
    ) -> tuple[Any, Seed]:
        """White noise of a space with E|n|² = 1, and the seed for the next draw."""
        elements = [self._one(space, i, device) for i in range(math.prod(batch))]
        following = Seed(self.value, self.draws + 1)
        if not batch:
            return elements[0], following
        if isinstance(elements[0], Blocks):
            parts = {name: torch.stack([e[name] for e in elements]) for name in elements[0]}
            return Blocks({name: part.reshape(*batch, *part.shape[1:]) for name, part in parts.items()}), following
        drawn = torch.stack(elements)
        return drawn.reshape(*batch, *drawn.shape[1:]), following

    def _one(self, space: AnySpace, index: int, device: torch.device | str | None) -> Any:
        generator = torch.Generator().manual_seed(derive_seed(self.value, self.draws, index))
        return space.randn(generator, device=device)


@dataclass(frozen=True)
class Draw:
    """Random numbers of one block of a whole array: each depends on its flat index in the whole, not on the block.

    Attributes
    ----------
    seed : key of the whole array.
    origin : index of the block's first element, one number for each dim.
    whole_shape : shape of the whole array.
    """

    seed: int
    origin: tuple[int, ...]
    whole_shape: tuple[int, ...]

    def normal(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str | None = None) -> Tensor:
        """White noise with E|n|² = 1, real or complex, for a block of this shape."""
        uniform = self._uniform(shape)
        radius = np.sqrt(-2 * np.log1p(-uniform[..., 0]))  # Box and Muller, 1958
        angle = 2 * np.pi * uniform[..., 1]
        if dtype.is_complex:
            values = radius * np.exp(1j * angle) / np.sqrt(2)
        else:
            values = radius * np.cos(angle)
        return torch.from_numpy(values).to(device=device, dtype=dtype)

    def uniform(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str | None = None) -> Tensor:
        """Uniform numbers in [0, 1) for a block of this shape."""
        return torch.from_numpy(self._uniform(shape)[..., 0].copy()).to(device=device, dtype=dtype)

    def poisson(self, rate: Tensor) -> Tensor:
        """Counts with the expected values `rate` ≥ 0 of a block, in its dtype and on its device; drawn on the CPU.

        Each count is the quantile of one uniform number: it depends on its index in the whole and on its own rate.

        Raises
        ------
        ValueError : a rate is negative, or not finite.
        """
        expected = rate.detach().cpu().double().numpy()
        if not ((expected >= 0) & np.isfinite(expected)).all():
            raise ValueError(f"the expected value of a count is finite and ≥ 0: one of these is {expected.min()}")
        uniform = np.maximum(self._uniform(expected.shape)[..., 0], 2.0**-54)  # 0 has no quantile
        counts = np.empty_like(expected)
        many = expected >= MANY
        counts[many] = _many_counts(uniform[many], expected[many])
        counts[~many] = _few_counts(uniform[~many], expected[~many])
        return torch.from_numpy(counts).to(device=rate.device, dtype=rate.dtype)

    def _uniform(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Two uniform numbers for each element, shape (*shape, 2), from Philox at the element's flat index."""
        if len(self.origin) != len(self.whole_shape) or len(shape) != len(self.whole_shape):
            raise ValueError(f"a block of shape {shape} at {self.origin} is no part of {self.whole_shape}")
        tail = len(shape)  # trailing dims that the block covers whole are contiguous in the flat index
        while tail and shape[tail - 1] == self.whole_shape[tail - 1]:
            tail -= 1
        outer = max(tail - 1, 0)
        run = math.prod(shape[outer:])
        strides = [math.prod(self.whole_shape[i + 1 :]) for i in range(len(shape))]
        base = sum(o * s for o, s in zip(self.origin, strides, strict=True))
        out = np.empty((math.prod(shape[:outer]), run, 2))
        for row, index in enumerate(itertools.product(*map(range, shape[:outer]))):
            start = base + sum(i * s for i, s in zip(index, strides, strict=False))
            out[row] = self._words(start, run)
        return out.reshape(*shape, 2)

    def _words(self, start: int, count: int) -> NDArray[np.float64]:
        """Elements start … start + count of the flat stream: two of the four words of a Philox block each."""
        first = start - start % 2
        generator = np.random.Philox(key=self.seed, counter=first // 2)
        raw = generator.random_raw(2 * (start - first + count)).reshape(-1, 2)[start - first :]
        return np.asarray((raw >> np.uint64(11)) * 2.0**-53, np.float64)


def _few_counts(uniform: NDArray[np.float64], rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """The least count whose cumulative probability reaches the uniform number."""
    above = np.ceil(special.pdtrik(uniform, rate))  # the inverse in a real number of counts, exact but for rounding
    below = np.maximum(above - 1, 0)
    return np.asarray(np.where(special.pdtr(below, rate) >= uniform, below, above), np.float64)


def _many_counts(uniform: NDArray[np.float64], rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same by an expansion about the normal quantile.

    References
    ----------
    Giles, Algorithm 955: approximation of the inverse Poisson cumulative distribution function, 2016.
    """
    normal, root = special.ndtri(uniform), np.sqrt(rate)
    expanded = rate + root * normal + (normal**2 + 2) / 6 - (normal**3 + 2 * normal) / (72 * root)
    return np.asarray(np.floor(expanded), np.float64)
