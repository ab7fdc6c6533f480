"""Counted photons: gain · y ~ Poisson(gain · (Ax + background))."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from preimage.likelihoods import data_space
from preimage.operators import LinearOperator
from preimage.randomness import Draw
from preimage.space import Blocks, safe_divide
from preimage_optics.likelihoods.nonnegative import refuse_negative

WHO = "likelihood poisson"

ROUNDING = 16
"""How far below 0, in units of ε times the largest value, an operator's transforms may leave what is 0."""


class Settings(preimage.Settings):
    """How data are related to counts: gain · y ~ Poisson(gain · (u + background)) at u = A(x), in the units of y."""

    gain: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Counts for one unit of the data, such as photoelectrons for one grey level of a camera; 1 where data are counts.
    The larger it is, the less noisy are the data that a simulation makes. What is counted is an intensity: with
    phase-retrieval set power = 2, for amplitudes are no counts."""
    background: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """What is expected where A(x) is 0, in the units of the data: dark current and stray light, which the data still
    have. Above 0, it keeps the gradient finite. At 0 the best fit to pixels without counts is at the edge of what is
    possible, A(x) = 0, where gradient-descent gets stuck: take the prior non-negativity, and proximal-gradient, pdhg
    or admm."""


@dataclass(frozen=True)
class Poisson:
    """Counts gain · y with the expected values gain · v, v = u + background: −log of their density, up to a constant.

    ℓ(u, y) = gain · Σ v − y + y log(y/v), the divergence of Kullback and Leibler, is 0 at v = y. Where v < 0, by more
    than transforms round, it is infinite, and the gradient, as wherever less than ε counts are expected, that at ε, the
    rounding of the dtype: it is finite, and leads back into the domain. At u = 0 that is so without a background; a
    linear operator's problem starts elsewhere.

    Attributes
    ----------
    gain : counts for one unit of the data.
    background : in the units of the data.

    References
    ----------
    Shepp & Vardi, Maximum likelihood reconstruction for emission tomography, 1982; the start too. The prox: Combettes &
    Pesquet, A Douglas–Rachford splitting approach to nonsmooth convex variational signal recovery, 2007.
    """

    gain: float = 1.0
    background: float = 0.0
    scale_equivariant = False
    dispersion = 1.0
    real_valued = True
    barrier = True

    def value(self, u: Tensor, y: Tensor) -> Tensor:
        """Gain · Σ v − y + y log(y/v)."""
        expected = self._intensity(u)
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

    def initial(self, operator: LinearOperator, y: Tensor, seed: int) -> Any:
        """One step of expectation maximisation from a constant image, x = Aᴴ(y/A1) / Aᴴ1, of data over the background.

        As many counts are expected of it as there are, and, where A has no negative entries, some wherever there are.
        Elements of a batch for which that fails start at 0.

        Raises
        ------
        DataError : A(x) is complex.
        """
        codomain: Any = data_space(self, operator.codomain)
        batch, one = codomain.batch(y), torch.ones_like
        flat = _each(operator.domain.zeros(batch, y.device), one)
        seen, sensitivity = operator(flat), operator.adjoint(one(y))
        x = _each(operator.adjoint(safe_divide((y - self.background).clamp_min(0), seen)), safe_divide, sensitivity)
        expected = self._intensity(operator(x))
        possible = torch.where(y > 0, expected > 0, expected >= 0).flatten(len(batch)).all(-1)
        return _each(x, lambda part: torch.where(possible.reshape(*batch, *[1] * (part.ndim - len(batch))), part, 0))

    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        """Counts, in the units of the data.

        Raises
        ------
        DataError : a negative number of counts would be expected.
        """
        expected = self._intensity(u)
        if bool((expected < 0).any()):
            raise DataError(
                f"{WHO}: A(x) + background is {float(expected.min()):g} somewhere, and nothing is counted less than "
                "never: the truth, or what the operator makes of it, must not be negative"
            )
        return draw.poisson(self.gain * expected) / self.gain

    def _intensity(self, u: Tensor) -> Tensor:
        """v, and 0 where that is less by rounding alone."""
        v = u + self.background
        if not v.numel():
            return v
        rounding = ROUNDING * torch.finfo(v.dtype).eps * v.abs().amax()
        return torch.where((v < 0) & (v >= -rounding), 0, v)


def _each(x: Any, change: Callable[..., Tensor], *others: Any) -> Any:
    """An element, changed part by part together with others."""
    if not isinstance(x, Blocks):
        return change(x, *others)
    return Blocks({name: change(part, *(other[name] for other in others)) for name, part in x.items()})


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
