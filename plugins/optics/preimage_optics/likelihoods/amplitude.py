"""Amplitudes of a field, without its phase: ½‖|Ax| − y‖²."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor

import preimage
from preimage import hookimpl
from preimage.data import require
from preimage.errors import DataError
from preimage.operators import LinearOperator
from preimage.randomness import Draw
from preimage_optics.likelihoods.nonnegative import refuse_negative
from preimage_optics.spectral import spectral_estimate

WHO = "likelihood amplitude"
NOISE_STD = "noise_std"


class Settings(preimage.Settings):
    """How strong the noise is. Solvers that minimise do not ask; samplers and simulations do."""

    std: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Standard deviation in the units of the amplitudes; if not given, the dataset's `noise_std`. Amplitudes √counts
    have the standard deviation ½, however many counts there are. The likelihood is for linear operators, of whose field
    it takes the magnitude; phase-retrieval takes it itself: there set power = 1, and the likelihood gaussian."""


@dataclass(frozen=True)
class Amplitude:
    """Noise on the magnitude of u, which is complex, or real as magnitudes and their signs are.

    Where u ≥ 0, such as of an operator that takes magnitudes itself, it is ½‖u − y‖², the Gaussian one.

    Where u is 0, and every phase as good as any other, the gradient is 0 and the phase of the prox is 1. So a linear
    operator's problem does not start at 0, but from a spectral estimate.

    Attributes
    ----------
    std : standard deviation of the noise in the units of the data; None if it is not known.

    References
    ----------
    Wang, Giannakis & Eldar, Solving systems of random quadratic equations via truncated amplitude flow, 2018. The prox:
    Wen, Yang, Liu & Marchesini, Alternating direction methods for classical and ptychographic phase retrieval, 2012.
    """

    std: float | None = None
    scale_equivariant = True
    phaseless = True

    def value(self, u: Tensor, y: Tensor) -> Tensor:
        """½‖|u| − y‖²."""
        return 0.5 * (u.abs() - y).square().sum()

    def grad(self, u: Tensor, y: Tensor) -> Tensor:
        """U − y · u/|u|."""
        return u - y * u.sgn()

    def prox(self, u: Tensor, y: Tensor, step: Any) -> Tensor:
        """The magnitude (|u| + step · y)/(1 + step) with the phase of u."""
        phase = torch.where(u == 0, 1, u.sgn())
        z: Tensor = (u + step * y * phase) * (1 / (1 + step))
        return z

    def expected(self, u: Tensor) -> Tensor:
        """|u|."""
        return u.abs()

    def initial(self, operator: LinearOperator, y: Tensor, seed: int) -> Tensor:
        """A spectral estimate."""
        return spectral_estimate(operator, y.square(), seed)

    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        """|u| + std · white noise, and 0 where that is negative; |u| itself where std is None."""
        magnitude = u.abs()
        if not self.std:
            return magnitude
        noise = draw.normal(tuple(u.shape), magnitude.dtype, u.device)
        return (magnitude + self.std * noise).clamp_min(0)

    def rescaled(self, factor: float) -> Amplitude:
        """The likelihood of data multiplied by `factor`."""
        return self if self.std is None else Amplitude(self.std * factor)


@hookimpl
def preimage_likelihood(settings: Settings, dataset: xr.Dataset) -> Amplitude:
    """The data term; its noise level from the settings, else from the dataset, else unknown."""
    cure = "take amplitudes before a background is subtracted, or the likelihood gaussian"
    refuse_negative(dataset, WHO, "an amplitude", cure)
    if settings.std is not None or NOISE_STD not in dataset.variables:
        return Amplitude(settings.std)
    std = float(require(dataset, NOISE_STD, (), who=WHO).values)
    if not 0 <= std < math.inf:
        raise DataError(f"{NOISE_STD} is {std}: a standard deviation is a finite number of at least 0")
    return Amplitude(std)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, xr.Dataset]]:
    """Amplitudes of a complex field far above the noise, and of a real one; one without a noise level."""
    random = np.random.default_rng(0)
    amplitudes = 4 + random.random((3, 1, 5))
    near = amplitudes + 0.3 * random.standard_normal(amplitudes.shape)
    phases = np.exp(2j * np.pi * random.random(amplitudes.shape))
    measured = {"measurement": (("z", "y", "x"), amplitudes)}
    yield Settings(std=0.3), xr.Dataset({**measured, "predicted": (("z", "y", "x"), near * phases)})
    real = xr.Dataset({**measured, "predicted": (("z", "y", "x"), near * np.sign(phases.real)), NOISE_STD: ((), 0.5)})
    yield Settings(), real
    yield Settings(), xr.Dataset(measured)
