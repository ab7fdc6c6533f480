"""Counted photons: gain · y ~ Poisson(gain · (Ax + background))."""

from __future__ import annotations

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
from preimage.errors import DataError
from preimage.randomness import Draw
from preimage_optics.likelihoods.nonnegative import refuse_negative

WHO = "likelihood poisson"


class Settings(preimage.Settings):
    """How data are related to counts: gain · y ~ Poisson(gain · (u + background)) at u = A(x), in the units of y."""

    gain: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Counts for one unit of the data, such as photoelectrons for one grey level of a camera; 1 where data are counts.
    The larger it is, the less noisy are the data that a simulation makes."""
    background: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """What is expected where A(x) is 0, in the units of the data: dark current and stray light, which the data still
    have. Above 0, it keeps the gradient finite."""


@dataclass(frozen=True)
class Poisson:
    """Counts gain · y with the expected values gain · v, v = u + background: −log of their density, up to a constant.

    ℓ(u, y) = gain · Σ v − y + y log(y/v), the divergence of Kullback and Leibler, is 0 at v = y. Where v < 0 it is
    infinite, and the gradient, as wherever less than ε counts are expected, that at ε, the rounding of the dtype: it is
    finite, and leads back into the domain.

    Attributes
    ----------
    gain : counts for one unit of the data.
    background : in the units of the data.

    References
    ----------
    Shepp & Vardi, Maximum likelihood reconstruction for emission tomography, 1982. The prox: Combettes & Pesquet,
    A Douglas–Rachford splitting approach to nonsmooth convex variational signal recovery, 2007.
    """

    gain: float = 1.0
    background: float = 0.0
    scale_equivariant = False
    dispersion = 1.0

    def value(self, u: Tensor, y: Tensor) -> Tensor:
        """Gain · Σ v − y + y log(y/v)."""
        expected = u + self.background
        counted = y > 0
        excess = (expected - y) / torch.where(counted, y, 1)  # whose log1p is exact also where v is nearly y
        divergence = torch.where(counted, y * (excess - torch.log1p(excess)), expected)
        return self.gain * torch.where(expected < 0, torch.inf, divergence).sum()

    def grad(self, u: Tensor, y: Tensor) -> Tensor:
        """Gain · (1 − y/v)."""
        least = torch.finfo(u.dtype).eps / self.gain
        return self.gain * (1 - y / (u + self.background).clamp_min(least))

    def prox(self, u: Tensor, y: Tensor, step: Any) -> Tensor:
        """The root v ≥ 0 of v² + (step · gain − u − background) v = step · gain · y."""
        weight = step * self.gain
        half, product = (u + self.background - weight) / 2, weight * y
        root = (half.square() + product).sqrt()
        # Two forms of one root, of which one cancels.
        expected = torch.where(half < 0, product / torch.where(half < 0, root - half, 1), root + half)
        return expected - self.background

    def expected(self, u: Tensor) -> Tensor:
        """U + background."""
        return u + self.background

    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        """Counts, in the units of the data.

        Raises
        ------
        DataError : a negative number of counts would be expected.
        """
        expected = u + self.background
        if bool((expected < 0).any()):
            raise DataError(
                f"{WHO}: A(x) + background is {float(expected.min()):g} somewhere, and nothing is counted less than "
                "never: the truth, or what the operator makes of it, must not be negative"
            )
        return draw.poisson(self.gain * expected) / self.gain


@hookimpl
def preimage_likelihood(settings: Settings, dataset: xr.Dataset) -> Poisson:
    """The data term."""
    cure = "give the data as they were counted, and what was subtracted as the setting background"
    refuse_negative(dataset, WHO, "a count", cure)
    return Poisson(settings.gain, settings.background)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, xr.Dataset]]:
    """Few counts over a background, pixels without any, and many counts in another unit."""
    random = np.random.default_rng(0)
    dims = ("z", "y", "x")
    yield Settings(background=0.5), xr.Dataset({"measurement": (dims, random.poisson(3.0, (3, 1, 5)).astype(float))})
    yield Settings(), xr.Dataset({"measurement": (dims, np.array([[[0.0, 1.0, 7.0]]]))})
    intensity = 1e-3 * (1 + random.random((1, 4, 3)))
    data = random.poisson(2e5 * intensity) / 2e5
    yield Settings(gain=2e5), xr.Dataset({"measurement": (dims, data), "predicted": (dims, 1.1 * intensity)})
