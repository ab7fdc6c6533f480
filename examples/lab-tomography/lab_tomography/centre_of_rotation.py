"""Where the axis of rotation is seen on the detector, from the centre of mass of the projections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import preimage
import xarray as xr
from numpy.typing import NDArray
from preimage import Memory, hookimpl, split
from preimage.data import Preparation, Region, header
from preimage.declarations import Axis
from preimage.errors import RunError
from pydantic import Field, PositiveInt

from lab_tomography.geometry import ANGLE, DETECTOR, read_angles, slice_dims
from lab_tomography.phantom import scan

WHO = "centre-of-rotation"
CONDITION = 50.0
"""Of the fit: with it an error of the centres of mass becomes one fifty times as large, at worst."""

requires = {"measurement": (ANGLE, DETECTOR), ANGLE: (ANGLE,)}
provides = {"centre": ()}


class Settings(preimage.Settings):
    """What it is estimated from, and what is not believed."""

    n_slices: PositiveInt = 16
    """Slices in the middle that are read, along each of their dims."""
    air: float = Field(default=0.05, ge=0, lt=0.5)
    """Share of the detector at either end that sees air alone. A line through what is measured there is subtracted:
    the beam has drifted since the white field, and that alone would move the centre of mass."""
    variation: float = Field(default=0.05, gt=0, lt=1)
    """The sum over a projection may vary by this share of it from angle to angle: all of the object is seen then."""


class CentreOfRotation(Preparation):
    """The centre of mass of the projections of any object moves as c + a cos θ + b sin θ, and c is the axis.

    It is that of the object's centre of mass (a, b), so c follows by least squares from all angles at once, to a
    fraction of a pixel. The object must be seen as a whole at every angle: then projections have one sum.

    References
    ----------
    Helgason, The Radon Transform, 1980: moments of projections; Azevedo et al., Calculation of the rotational
    centers in computed tomography sinograms, IEEE Trans. Nucl. Sci. 37, 1990.
    """

    def __init__(self, settings: Settings, dataset: xr.Dataset) -> None:
        self.settings = settings
        self.slices = slice_dims(dataset, WHO)

    def describe(self, dataset: xr.Dataset) -> xr.Dataset:
        """Add the centre."""
        return dataset.assign(centre=header((), (), np.float64, units="pixel"))

    def reads(self, dataset: xr.Dataset) -> Region:
        """Slices in the middle."""
        n = self.settings.n_slices
        middle = {dim: max(dataset.sizes[dim] - n, 0) // 2 for dim in self.slices}
        return {dim: slice(start, start + n) for dim, start in middle.items()}

    def fit(self, dataset: xr.Dataset) -> xr.Dataset:
        """The centre.

        Raises
        ------
        RunError : the object is not seen as a whole, or the angles are too few or too close to each other.
        """
        projections = dataset["measurement"].transpose(*self.slices, ANGLE, DETECTOR).values.astype(np.float64)
        projections = without_drift(projections.sum(tuple(range(len(self.slices)))), self.settings.air)
        mass = projections.sum(-1)
        cure = "give the operator the setting centre instead"
        variation = mass.std() / abs(mass.mean()) if mass.mean() else np.inf
        if not variation <= self.settings.variation:
            raise RunError(
                f"{WHO}: the sums of the projections vary by {variation:.1%}, more than variation = "
                f"{self.settings.variation:.1%}: where the object is not seen as a whole, {cure}"
            )
        angles = read_angles(dataset, WHO)
        design = np.stack([np.ones_like(angles), np.cos(angles), np.sin(angles)], axis=-1)
        if len(angles) < 3 or np.linalg.cond(design) > CONDITION:
            raise RunError(f"{WHO}: {len(angles)} angles over {np.degrees(np.ptp(angles)):.0f}° are too few: {cure}")
        centre_of_mass = projections @ np.arange(projections.shape[-1]) / mass
        centre = np.linalg.lstsq(design, centre_of_mass)[0][0]
        return xr.Dataset({"centre": ((), centre, {"units": "pixel"})})

    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """Add the centre."""
        return dataset.assign(centre=fitted["centre"].variable)


def without_drift(projections: NDArray[np.float64], air: float) -> NDArray[np.float64]:
    """Projections (angle, detector) less a line through the means of a share of the detector at either end."""
    n = projections.shape[-1]
    n_air = round(air * n)
    if not n_air:
        return projections
    left, right = projections[:, :n_air].mean(-1), projections[:, -n_air:].mean(-1)
    along = (np.arange(n) - (n_air - 1) / 2) / (n - n_air)  # from 0 in the middle of the one end to 1 in the other's
    return projections - np.outer(left, 1 - along) - np.outer(right, along)


@hookimpl
def preimage_preparation(settings: Settings, dataset: xr.Dataset) -> CentreOfRotation:
    """Make the preparation."""
    return CentreOfRotation(settings, dataset)


@hookimpl
def preimage_axes(settings: Settings, dataset: xr.Dataset) -> Mapping[str, Axis]:
    """The measurement is left as it is."""
    return dict.fromkeys((*slice_dims(dataset, WHO), ANGLE, DETECTOR), split)


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The measurement."""
    return Memory(per_input=1)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, xr.Dataset]]:
    """Scans of many and of few slices, even and odd detectors, degrees and radians."""
    yield Settings(n_slices=2), scan({"z": 5}, n_angles=9, n_pixels=24).transpose(ANGLE, ...)
    yield Settings(), scan({"time": 2, "z": 1}, n_angles=8, n_pixels=31, unit="rad")
    yield Settings(), scan({}, n_angles=7, n_pixels=40)
