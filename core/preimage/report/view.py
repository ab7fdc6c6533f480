"""What is seen of one unknown: planes of its estimate and its truth, on one scale."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import xarray as xr

from preimage.metrics import aligned, comparable
from preimage.report.planes import Array, Plane, read
from preimage.volumes.planning.plan import Bounds, StagePlan, slices

OVERSHOOT = 0.2
"""Of the scale: values this little below zero are drawn as zero."""
FAINT = 0.05
"""Of the scale: where the magnitude is below it the phase is not drawn."""
MAX_GAIN = 1000
"""Of an error; what is smaller is rounding."""
SEEN = 0.995
"""Share of the voxels whose error is not clipped."""


@dataclass(frozen=True)
class Freedom:
    """What an estimate may differ from the truth in without being wrong.

    Attributes
    ----------
    ambiguity : what the operator cannot tell apart.
    independent : dims along which every index is a problem of its own.
    regions : the blocks in which the estimate was made; none of them cuts a problem.
    """

    ambiguity: frozenset[str] = frozenset()
    independent: Collection[str] = ()
    regions: Sequence[Mapping[str, Bounds]] = ({},)

    @classmethod
    def of_run(cls, record: Mapping[str, Any], facts: Mapping[str, Any], solve: StagePlan) -> Self:
        """That of a run, from its record, the facts of a block, and the stage that solves."""
        independent = record.get("independent", solve.sizes)  # those that are cut are, where no more is known
        return cls(frozenset(facts.get("ambiguity", ())), independent, [*solve.regions()])


@dataclass(frozen=True)
class View:
    """Planes of one unknown.

    Attributes
    ----------
    planes : which.
    estimates : (row, column) each, as near to the truth as `moved_over` allows.
    truths : those of the truth; none where there is none.
    moved_over : ambiguities over which the estimate is aligned with its truth; none where there is no truth.
    """

    planes: Sequence[Plane]
    estimates: Sequence[Array]
    truths: Sequence[Array]
    moved_over: frozenset[str] = frozenset()

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


def view(planes: Sequence[Plane], estimate: xr.DataArray, truth: xr.DataArray | None, freedom: Freedom) -> View:
    """Read the planes; the blocks that they cross, where the estimate is aligned with its truth as for the metrics."""
    truths = [plane.read(truth) for plane in planes] if truth is not None else []
    if truth is not None and freedom.ambiguity:
        moved = _aligned(planes, estimate, truth, freedom)
        if moved is not None:
            return View(planes, moved, truths, freedom.ambiguity)
    return View(planes, [plane.read(estimate) for plane in planes], truths)


def _aligned(
    planes: Sequence[Plane], estimate: xr.DataArray, truth: xr.DataArray, freedom: Freedom
) -> list[Array] | None:
    """The planes of the aligned estimate, block by block; None where not all is finite, and no alignment is known."""
    kind = np.complex128 if np.iscomplexobj(estimate) or np.iscomplexobj(truth) else np.float64
    drawn = [np.empty([plane.sizes[dim] for dim in plane.dims], kind) for plane in planes]
    axes = tuple(i for i, dim in enumerate(estimate.dims) if dim not in freedom.independent)
    for region in freedom.regions:
        crossed = [i for i, plane in enumerate(planes) if plane.crosses(region)]
        if not crossed:
            continue
        one, other = (read(image.isel(slices(region, image.dims)), estimate.dims) for image in (truth, estimate))
        if not (np.isfinite(one).all() and np.isfinite(other).all()):
            return None
        block = xr.DataArray(aligned(one, other, freedom.ambiguity, axes), dims=estimate.dims)
        for i in crossed:
            at = {dim: index - region.get(dim, (0, 0))[0] for dim, index in planes[i].at.items()}
            whole = tuple(slice(*region.get(dim, (None, None))) for dim in planes[i].dims)
            drawn[i][whole] = block.isel(at).transpose(*planes[i].dims).values
    return [np.asarray(image[tuple(plane.drawn.values())]) for plane, image in zip(planes, drawn, strict=True)]


def _finite(values: Array) -> Array:
    return np.asarray(values[np.isfinite(values)])
