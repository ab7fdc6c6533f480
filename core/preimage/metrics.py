"""Metrics of an image against a truth, computed in float64 and merged over blocks.

A metric's numbers of a block add up: `partial` of every block, summed, then `finish`. A metric with a
`halo` sees that much more of the image round each block, up to the image's edges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

Array = NDArray[Any]
Partial = dict[str, float]


class Metric(Protocol):
    """A number that says how close an estimate is to the truth."""

    name: str
    halo: int
    """How many neighbours in the last two dims a block's numbers depend on."""

    def partial(self, truth: Array, estimate: Array, scalars: Mapping[str, float]) -> Partial:
        """The numbers of one block, in float64; they add up over blocks."""
        ...

    def finish(self, total: Partial, scalars: Mapping[str, float]) -> float:
        """The metric from the numbers of all blocks."""
        ...


def merge(one: Partial, other: Partial) -> Partial:
    """The numbers of two blocks together."""
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {**one, **other}}


def comparable(truth: Array, estimate: Array) -> tuple[Array, Array]:
    """Both in double precision; magnitudes where the truth is real and the estimate complex."""
    if np.iscomplexobj(truth):
        return truth.astype(np.complex128), estimate.astype(np.complex128)
    estimate = np.abs(estimate) if np.iscomplexobj(estimate) else estimate
    return truth.astype(np.float64), estimate.astype(np.float64)


def aligned(truth: Array, estimate: Array, ambiguity: frozenset[str], axes: tuple[int, ...]) -> Array:
    """The estimate shifted, flipped, turned and scaled onto the truth, over what the operator cannot tell apart.

    Shifts are cyclic, by whole pixels, to the peak of the correlation; a flip is x(n) → x̄(−n).

    Parameters
    ----------
    truth, estimate : of one shape, and comparable.
    ambiguity : of the operator.
    axes : of one problem; along the others problems are independent of each other, and so are their ambiguities.
    """
    if not ambiguity or not estimate.size:
        return estimate
    last = tuple(range(-len(axes), 0))
    one, other = (np.moveaxis(image, axes, last) for image in (truth, estimate))
    apart, joint = other.shape[: other.ndim - len(axes)], other.shape[other.ndim - len(axes) :]
    one, other = (image.reshape(-1, *joint) for image in (one, other))
    if ambiguity & {"shift", "flip"}:
        other = np.stack([_matched(*pair, ambiguity) for pair in zip(one, other, strict=True)])
    factor = alignment(ambiguity, (other.conj() * one).sum(last), (np.abs(other) ** 2).sum(last))
    turned = other * np.asarray(factor).reshape(-1, *[1] * len(joint))
    return np.moveaxis(turned.reshape(*apart, *joint), last, axes)


def _matched(truth: Array, estimate: Array, ambiguity: frozenset[str]) -> Array:
    """An estimate shifted and flipped to where it correlates best with the truth."""
    candidates = [estimate, np.flip(estimate).conj()] if "flip" in ambiguity else [estimate]
    if "shift" in ambiguity:
        candidates = [np.roll(one, _shift(truth, one, ambiguity), range(truth.ndim)) for one in candidates]
    return max(candidates, key=lambda one: float(_height(np.vdot(one, truth), ambiguity)))


def _shift(truth: Array, estimate: Array, ambiguity: frozenset[str]) -> tuple[int, ...]:
    """The cyclic shift at which the correlation ⟨x̂(· − s), x⟩ is highest."""
    correlation = np.fft.ifftn(np.fft.fftn(truth) * np.fft.fftn(estimate).conj())
    peak = np.unravel_index(_height(correlation, ambiguity).argmax(), correlation.shape)
    return tuple(map(int, peak))


def _height(correlation: Any, ambiguity: frozenset[str]) -> Any:
    """How well two images agree, over the factors that remain free."""
    if ambiguity & {"scale", "phase"}:
        return np.abs(correlation)
    return np.abs(correlation.real) if "sign" in ambiguity else correlation.real


def alignment(ambiguity: frozenset[str], inner: Any, norm2: Any) -> Any:
    """The factor that turns an estimate onto the truth, over what the operator cannot tell apart.

    Parameters
    ----------
    ambiguity : of the operator; `phase`, `sign` and `scale` are turned here.
    inner : ⟨estimate, truth⟩ over the whole image, a number or an array of them.
    norm2 : ‖estimate‖² over the whole image.
    """
    inner, size = np.asarray(inner), np.abs(inner)
    if "scale" in ambiguity:
        return np.divide(inner, norm2, out=np.ones_like(inner), where=np.greater(norm2, 0))[()]
    if "phase" in ambiguity:
        return np.divide(inner, size, out=np.ones_like(inner), where=size > 0)[()]
    return np.where(inner.real < 0, -1.0, 1.0)[()] if "sign" in ambiguity else np.ones(inner.shape)[()]


class PSNR:
    """Peak signal-to-noise ratio in dB: 20 log₁₀(max|truth|) − 10 log₁₀(mean |estimate − truth|²)."""

    name = "psnr"
    halo = 0

    def partial(self, truth: Array, estimate: Array, scalars: Mapping[str, float]) -> Partial:
        """Squared error, and the number of elements."""
        return {"error2": float((np.abs(estimate - truth) ** 2).sum()), "count": float(truth.size)}

    def finish(self, total: Partial, scalars: Mapping[str, float]) -> float:
        """In dB."""
        if total["error2"] == 0:
            return math.inf
        return 20 * math.log10(scalars["truth_max"]) - 10 * math.log10(total["error2"] / total["count"])


class NRMSE:
    """‖estimate − truth‖ / ‖truth‖."""

    name = "nrmse"
    halo = 0

    def partial(self, truth: Array, estimate: Array, scalars: Mapping[str, float]) -> Partial:
        """Squared error, and squared norm."""
        return {"error2": float((np.abs(estimate - truth) ** 2).sum()), "truth2": float((np.abs(truth) ** 2).sum())}

    def finish(self, total: Partial, scalars: Mapping[str, float]) -> float:
        """Relative."""
        return math.sqrt(total["error2"] / total["truth2"]) if total["truth2"] else math.nan


class SSIM:
    """Structural similarity over 7×7 windows of the last two dims, averaged over all planes; of magnitudes if complex.

    References
    ----------
    Wang et al., Image quality assessment: from error visibility to structural similarity, 2004.
    """

    name = "ssim"
    window = 7
    halo = window // 2

    def partial(self, truth: Array, estimate: Array, scalars: Mapping[str, float]) -> Partial:
        """The sum over all windows that lie inside the image, and their number."""
        if truth.ndim < 2 or min(truth.shape[-2:]) < self.window:
            return {"sum": 0.0, "count": 0.0}
        one, other = (np.abs(image) if np.iscomplexobj(image) else image for image in (truth, estimate))
        size = (1,) * (truth.ndim - 2) + (self.window, self.window)

        def mean(image: Array) -> Array:
            inside = slice(self.halo, -self.halo)
            return np.asarray(uniform_filter(image, size)[..., inside, inside])

        sample = self.window**2 / (self.window**2 - 1)
        mean1, mean2 = mean(one), mean(other)
        var1 = sample * (mean(one * one) - mean1 * mean1)
        var2 = sample * (mean(other * other) - mean2 * mean2)
        covariance = sample * (mean(one * other) - mean1 * mean2)
        c1, c2 = (0.01 * scalars["truth_max"]) ** 2, (0.03 * scalars["truth_max"]) ** 2
        values = ((2 * mean1 * mean2 + c1) * (2 * covariance + c2)) / ((mean1**2 + mean2**2 + c1) * (var1 + var2 + c2))
        return {"sum": float(values.sum()), "count": float(values.size)}

    def finish(self, total: Partial, scalars: Mapping[str, float]) -> float:
        """Their mean; not a number where no window fits into a plane."""
        return total["sum"] / total["count"] if total["count"] else math.nan


METRICS: tuple[Metric, ...] = (PSNR(), SSIM(), NRMSE())
