"""What is seen of one unknown: planes of its estimate and its truth, on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from preimage.metrics import alignment, comparable
from preimage.report.planes import Array, Plane

OVERSHOOT = 0.2
"""Of the scale: values this little below zero are drawn as zero."""
FAINT = 0.05
"""Of the scale: where the magnitude is below it the phase is not drawn."""
MAX_GAIN = 1000
"""Of an error; what is smaller is rounding."""
SEEN = 0.995
"""Share of the voxels whose error is not clipped."""


@dataclass(frozen=True)
class View:
    """Planes of one unknown.

    Attributes
    ----------
    planes : which.
    estimates : (row, column) each, turned onto the truth by `factor`.
    truths : those of the truth; none where there is none.
    factor : what the estimate is multiplied by, over what the operator cannot tell apart.
    """

    planes: Sequence[Plane]
    estimates: Sequence[Array]
    truths: Sequence[Array]
    factor: complex

    @property
    def has_phase(self) -> bool:
        """Whether the estimate has a phase."""
        return np.iscomplexobj(self.estimates[0])

    @property
    def signed(self) -> bool:
        """Whether values are drawn as they are, and not their magnitudes."""
        return not any(np.iscomplexobj(image) for image in (*self.estimates, *self.truths))

    def brightness(self, image: Array) -> Array:
        """What is drawn of an image in grey."""
        return image if self.signed else np.abs(image)

    @cached_property
    def scale(self) -> tuple[float, float]:
        """The values of black and of white: the highest on the drawn planes, and zero or the lowest well below it."""
        low, high = self.range
        black = low if low < -OVERSHOOT * high else 0.0
        return (black, high) if high > black else (0.0, 1.0)

    @cached_property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest of what is drawn in grey, and zero."""
        shown = [_finite(self.brightness(image)) for image in (*self.estimates, *self.truths)]
        ends = [float(end) for image in shown if image.size for end in (image.min(), image.max())]
        return min(0.0, *ends), max(0.0, *ends)

    @cached_property
    def errors(self) -> list[Array]:
        """|estimate − truth| on every plane, of magnitudes where the truth is real and the estimate complex."""
        pairs = zip(self.truths, self.estimates, strict=False)
        with np.errstate(invalid="ignore"):  # what is not finite
            return [np.abs(np.subtract(*comparable(truth, estimate))) for truth, estimate in pairs]

    @cached_property
    def gain(self) -> int:
        """1, 2, 5, 10, …: what errors are multiplied by so that all but 0.5 % of them are below white."""
        found = _finite(np.concatenate([error.ravel() for error in self.errors]))
        typical = float(np.quantile(found, SEEN)) if found.size else 0.0
        span = self.scale[1] - self.scale[0]
        steps = [digit * 10**power for power in range(3) for digit in (1, 2, 5)] + [MAX_GAIN]
        return max([step for step in steps if typical > 0 and step * typical <= span], default=1)

    @property
    def n_broken(self) -> int:
        """Number of drawn voxels that are not finite."""
        return sum(int((~np.isfinite(image)).sum()) for image in (*self.estimates, *self.truths))


def view(
    planes: Sequence[Plane], estimate: xr.DataArray, truth: xr.DataArray | None, ambiguity: frozenset[str]
) -> View:
    """Read the planes.

    Parameters
    ----------
    ambiguity : of the operator; the estimate is turned onto the truth by the planes that are drawn.
    """
    truths = [plane.read(truth) for plane in planes] if truth is not None else []
    estimates = [plane.read(estimate) for plane in planes]
    factor = _alignment(truths, estimates, ambiguity)
    with np.errstate(invalid="ignore"):  # what is not finite
        return View(planes, [image * factor for image in estimates], truths, factor)


def _alignment(truths: Sequence[Array], estimates: Sequence[Array], ambiguity: frozenset[str]) -> complex:
    inner, norm2 = 0.0 + 0.0j, 0.0
    for one, other in zip(truths, estimates, strict=False):
        known = np.isfinite(one) & np.isfinite(other)
        inner += complex(np.vdot(other[known], one[known]))
        norm2 += float((np.abs(other[known]) ** 2).sum())
    factor = alignment(ambiguity, inner, norm2)
    return factor if any(map(np.iscomplexobj, estimates)) else complex(factor).real


def _finite(values: Array) -> Array:
    return np.asarray(values[np.isfinite(values)])
