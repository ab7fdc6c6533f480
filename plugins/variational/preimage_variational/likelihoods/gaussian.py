"""White Gaussian noise: ½‖Ax − y‖²."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import xarray as xr
from pydantic import Field

import preimage
from preimage import hookimpl
from preimage.data import require
from preimage.errors import DataError
from preimage.likelihoods import Gaussian

NOISE_STD = "noise_std"


class Settings(preimage.Settings):
    """How strong the noise is. Least-squares solvers do not ask; samplers and simulations do."""

    std: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Standard deviation in the units of the data, E|n|² = std², real or complex; if not given, the dataset's
    `noise_std`."""


@hookimpl
def preimage_likelihood(settings: Settings, dataset: xr.Dataset) -> Gaussian:
    """The data term; its noise level from the settings, else from the dataset, else unknown."""
    if settings.std is not None or NOISE_STD not in dataset.variables:
        return Gaussian(settings.std)
    std = float(require(dataset, NOISE_STD, (), who="likelihood gaussian").values)
    if not 0 <= std < math.inf:
        raise DataError(f"{NOISE_STD} is {std}: a standard deviation is a finite number of at least 0")
    return Gaussian(std)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, xr.Dataset]]:
    """Complex data with a known noise level, real data with one of the dataset's own, and with none."""
    volume = np.zeros((3, 1, 5))
    yield Settings(std=0.3), xr.Dataset({"measurement": (("coil", "y", "x"), volume.astype(complex))})
    yield Settings(), xr.Dataset({"measurement": (("z", "y", "x"), volume), NOISE_STD: ((), 2.0)})
    yield Settings(), xr.Dataset({"measurement": (("z", "y", "x"), volume)})
