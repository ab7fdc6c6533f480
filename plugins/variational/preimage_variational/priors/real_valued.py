"""Real values: a complex image has no imaginary part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

import preimage
from preimage import hookimpl, split
from preimage.declarations import Axis
from preimage.movable import Movable
from preimage.space import AnySpace, Space
from preimage_variational.dims import chosen_dims

WHO = "real-valued"


class Settings(preimage.Settings):
    """There is nothing to set."""


class RealValued(Movable):
    """The constraint Im x = 0, which real images meet anyway. Its prox is the projection.

    It has no value: that would be 0 or ∞, and ∞ for every iterate that meets it in the limit only.
    """

    constraint = True
    phase_equivariant = False

    def prox(self, x: Tensor, step: Any) -> Tensor:
        """The real part, as a complex image."""
        return torch.complex(x.real, torch.zeros_like(x.real)) if x.is_complex() else x.clone()

    def prox_(self, x: Tensor, step: Any) -> Tensor:
        """The same, written over x. Records no gradient."""
        if x.is_complex():
            x.imag.zero_()
        return x


@hookimpl
def preimage_prior(settings: Settings, domain: AnySpace) -> RealValued:
    """The constraint on one image."""
    chosen_dims(domain, None, WHO)
    return RealValued()


@hookimpl
def preimage_axes(settings: Settings, domain: AnySpace) -> Mapping[str, Axis]:
    """Every pixel is by itself."""
    return dict.fromkeys(domain.sizes, split)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Space]]:
    """Complex with a dim of length one, and real."""
    yield Settings(), Space(("z", "y", "x"), (3, 1, 5), torch.complex128)
    yield Settings(), Space(("y", "x"), (4, 3), torch.float64)
