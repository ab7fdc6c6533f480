"""Orthonormal wavelet filters as plane rotations of neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pywt
from numpy.typing import NDArray
from torch import Tensor

from preimage.errors import RequestError

Array = NDArray[np.float64]

WAVELETS = (
    "haar",
    *(f"db{n}" for n in range(2, 10)),
    *(f"sym{n}" for n in range(2, 21)),
    *(f"coif{n}" for n in range(1, 10)),
)
"""The wavelets that `Lattice.of` knows: PyWavelets' orthonormal ones, without the longest, whose tabulated taps do not
determine the rotations to 1e-10."""


@dataclass(frozen=True)
class Lattice:
    """A two-channel orthonormal filter bank, as layers of plane rotations of neighbouring samples.

    Every layer rotates all pairs of neighbours by one angle, in place; layers alternate between the pairs
    (0, 1), (2, 3), … and (1, 2), (3, 4), …, like courses of bricks, and the last layer has the former. After n
    layers the even samples are the approximation and the odd ones the details of a filter of 2n taps. The period
    is closed by a pair of the last and the first sample.

    A rotation is three shears. They take no memory, their factors are about 1 at most, and their negatives in
    reverse order undo them: the transform is orthonormal to rounding, however long the filter.

    Attributes
    ----------
    angles : of the layers, first to last, in radians; within ±π/2 for all but the first.

    References
    ----------
    Vaidyanathan & Hoang, Lattice structures for optimal design and robust implementation of two-channel
    perfect-reconstruction QMF banks, 1988. Daubechies & Sweldens, Factoring wavelet transforms into lifting
    steps, 1998.
    """

    angles: tuple[float, ...]

    @classmethod
    def of(cls, wavelet: str) -> Lattice:
        """Factor the filters of one of `WAVELETS`.

        Raises
        ------
        RequestError : it is none of them.
        """
        if wavelet not in WAVELETS:
            raise RequestError(f"{wavelet!r} is no orthonormal wavelet known here: choose one of {', '.join(WAVELETS)}")
        filters = pywt.Wavelet(wavelet)
        low, high = np.array(filters.rec_lo), np.array(filters.dec_hi[::-1])
        angles = []
        if len(low) % 4 == 2:
            high = -high  # a chain of rotations has this sign; see `analyse_`
        while len(low) > 2:
            # The last layer is a rotation of a left part, which does not reach the last two taps, and a right part,
            # which does not reach the first two. Rotated back, the taps vanish: by design one of the two, by
            # orthonormality the other. The right part of one pair and the left part of the next are the layer before.
            angle = math.atan(low[-1] / high[-1])
            left = math.cos(angle) * low - math.sin(angle) * high
            right = math.sin(angle) * low + math.cos(angle) * high
            angles.append(angle)
            low, high = right[2:], left[:-2]
        angles.append(math.atan2(low[1], low[0]))
        return cls(tuple(reversed(angles)))

    @property
    def _flips(self) -> bool:
        """Whether PyWavelets' details have the other sign."""
        return len(self.angles) % 2 == 1

    def analyse_(self, even: Tensor, odd: Tensor, axis: int) -> None:
        """Turn even and odd samples, of equal number, into approximation and details, in place."""
        for pairs, angle in self._layers(even, odd, axis):
            for left, right in pairs:
                rotate_(left, right, angle)
        if self._flips:
            odd.neg_()

    def synthesise_(self, even: Tensor, odd: Tensor, axis: int) -> None:
        """Undo `analyse_`."""
        if self._flips:
            odd.neg_()
        for pairs, angle in reversed(self._layers(even, odd, axis)):
            for left, right in pairs:
                rotate_(left, right, -angle)

    def _layers(self, even: Tensor, odd: Tensor, axis: int) -> list[tuple[list[tuple[Tensor, Tensor]], float]]:
        """For each layer the left and right samples that it rotates, and its angle."""
        n = even.shape[axis]
        aligned = [(even, odd)]
        between = [
            (odd.narrow(axis, 0, n - 1), even.narrow(axis, 1, n - 1)),
            (odd.narrow(axis, n - 1, 1), even.narrow(axis, 0, 1)),
        ]
        last = len(self.angles) - 1
        return [(between if (last - i) % 2 else aligned, angle) for i, angle in enumerate(self.angles)]


def rotate_(left: Tensor, right: Tensor, angle: float) -> None:
    """(left, right) ← (cos·left + sin·right, cos·right − sin·left), in place by three shears."""
    tangent, sine = math.tan(angle / 2), math.sin(angle)
    left.add_(right, alpha=tangent)
    right.sub_(left, alpha=sine)
    left.add_(right, alpha=tangent)
