"""Simplex: x ≥ 0 with a known sum, such as a blur kernel that keeps the brightness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import torch
import xarray as xr
from pydantic import Field
from torch import Tensor

import preimage
from preimage import Memory, hookimpl, split, whole
from preimage.declarations import Axis
from preimage.movable import Movable
from preimage.space import AnySpace, Space
from preimage_variational.dims import chosen_dims

WHO = "simplex"


class Settings(preimage.Settings):
    """What adds up to how much."""

    total: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """The sum."""
    dims: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Dims that are summed over; along the others every image has a sum of its own. All dims if not given."""


class Simplex(Movable):
    """The constraint x ≥ 0, Σx = total; a complex x has an imaginary part of 0 as well. Its prox is the projection.

    It has no value: that would be 0 or ∞, and ∞ for every iterate that meets it in the limit only.

    Parameters
    ----------
    space : of the image.
    dims : that are summed over.
    total : the sum.

    References
    ----------
    Held, Wolfe & Crowder, Validation of subgradient optimization, 1974. Duchi, Shalev-Shwartz, Singer & Chandra,
    Efficient projections onto the ℓ1-ball for learning in high dimensions, 2008.
    """

    constraint = True
    phase_equivariant = False

    def __init__(self, space: Space, dims: tuple[str, ...], total: float = 1.0) -> None:
        self.axes = tuple(space.axis(dim) for dim in dims)
        self.total = total

    def prox(self, x: Tensor, step: Any) -> Tensor:
        """The nearest point: x less a threshold, and 0 below it."""
        if x.is_complex():
            return torch.complex(self.prox(x.real, step), torch.zeros_like(x.real))
        return (x - self._threshold(x)).clamp_min(0)

    def _threshold(self, x: Tensor) -> Tensor:
        """By which the largest pixels are above their share, if only those count that stay above 0."""
        last = tuple(range(-len(self.axes), 0))
        moved = x.movedim(self.axes, last)
        falling = moved.flatten(-len(self.axes)).sort(-1, descending=True).values
        count = torch.arange(1, falling.shape[-1] + 1, dtype=x.dtype, device=x.device)
        excess = (falling.cumsum(-1) - self.total) / count
        stay = (falling > excess).sum(-1, keepdim=True)
        threshold = excess.gather(-1, stay - 1)
        return threshold.reshape(*threshold.shape[:-1], *[1] * len(self.axes)).movedim(last, self.axes)


@hookimpl
def preimage_prior(settings: Settings, domain: AnySpace) -> Simplex:
    """The constraint on one image."""
    space, dims = chosen_dims(domain, settings.dims, WHO)
    return Simplex(space, dims, settings.total)


@hookimpl
def preimage_axes(settings: Settings, domain: AnySpace) -> Mapping[str, Axis]:
    """A sum is over all of its dims."""
    space, dims = chosen_dims(domain, settings.dims, WHO)
    return {dim: whole if dim in dims else split for dim in space.dims}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The image in falling order, what it is sorted by, and its running sums."""
    return Memory(per_image=5)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Space]]:
    """Over all dims and over some, real and complex, with a dim of length one."""
    yield Settings(), Space(("z", "y", "x"), (3, 1, 5), torch.complex128)
    yield Settings(total=2.5, dims=("x", "z")), Space(("z", "y", "x"), (3, 4, 5), torch.float64)
    yield Settings(dims=("y",)), Space(("y", "x"), (4, 3), torch.float64)
