"""Tikhonov regularisation: ½λ‖x‖²."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

import preimage
from preimage import hookimpl, split
from preimage.declarations import Axis
from preimage.movable import Movable
from preimage.space import AnySpace, ProductSpace, Space, leaves


class Settings(preimage.Settings):
    """How much energy counts."""

    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-3
    """λ against ½‖Ax − y‖²; it has the units of ‖A‖²."""


@dataclass(frozen=True)
class Tikhonov(Movable):
    """R(x) = ½λ‖x‖², over all unknowns that x has.

    Attributes
    ----------
    weight : λ.
    """

    weight: float

    def value(self, x: Any) -> Tensor:
        """½λ‖x‖²."""
        parts = [part.abs().square().sum() for part in leaves(x)]
        return 0.5 * self.weight * torch.stack(parts).sum()

    def grad(self, x: Any) -> Any:
        """λx."""
        return x * self.weight

    def lipschitz(self) -> float:
        """λ."""
        return self.weight

    def prox(self, x: Any, step: Any) -> Any:
        """X / (1 + step · λ)."""
        return x * (1 / (1 + step * self.weight))


@hookimpl
def preimage_prior(settings: Settings) -> Tikhonov:
    """The prior on any unknowns."""
    return Tikhonov(settings.weight)


@hookimpl
def preimage_axes(settings: Settings, domain: AnySpace) -> Mapping[str, Axis]:
    """Every pixel is by itself."""
    return dict.fromkeys(domain.sizes, split)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, AnySpace]]:
    """One complex image with a dim of length one, and two unknowns."""
    yield Settings(weight=0.7), Space(("z", "y", "x"), (3, 1, 5), torch.complex128)
    image, field = Space(("y", "x"), (4, 3), torch.complex128), Space(("y", "x"), (4, 3), torch.float64)
    yield Settings(weight=2.0), ProductSpace(image=image, field=field)
