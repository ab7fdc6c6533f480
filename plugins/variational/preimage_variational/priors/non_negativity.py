"""Non-negativity: x ≥ 0, and real where images are complex."""

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

WHO = "non-negativity"


class Settings(preimage.Settings):
    """There is nothing to set."""


class NonNegativity(Movable):
    """The constraint x ≥ 0; a complex x has an imaginary part of 0 as well. Its prox is the projection.

    It has no value: that would be 0 or ∞, and ∞ for every iterate that meets it in the limit only.
    """

    constraint = True
    phase_equivariant = False

    def prox(self, x: Tensor, step: Any) -> Tensor:
        """The nearest x ≥ 0."""
        if not x.is_complex():
            return x.clamp_min(0)
        return torch.complex(x.real.clamp_min(0), torch.zeros_like(x.real))

    def prox_(self, x: Tensor, step: Any) -> Tensor:
        """The same, written over x. Records no gradient."""
        if not x.is_complex():
            return x.clamp_min_(0)
        x.real.clamp_min_(0)
        x.imag.zero_()
        return x


@hookimpl
def preimage_prior(settings: Settings, domain: AnySpace) -> NonNegativity:
    """The constraint on one image."""
    chosen_dims(domain, None, WHO)
    return NonNegativity()


@hookimpl
def preimage_axes(settings: Settings, domain: AnySpace) -> Mapping[str, Axis]:
    """Every pixel is by itself."""
    return dict.fromkeys(domain.sizes, split)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Space]]:
    """Real and complex, with a dim of length one."""
    yield Settings(), Space(("z", "y", "x"), (3, 1, 5), torch.complex128)
    yield Settings(), Space(("y", "x"), (4, 3), torch.float64)
