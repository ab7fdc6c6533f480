"""Support: the image is 0 outside a known region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import torch
import xarray as xr
from pydantic import Field, NonNegativeInt
from torch import Tensor

import preimage
from preimage import Memory, hookimpl, split, whole
from preimage.data import device_of, require, tensor
from preimage.declarations import Axis
from preimage.errors import DataError, RequestError, SpaceError
from preimage.movable import Movable
from preimage.space import AnySpace, Space
from preimage_variational.dims import chosen_dims

WHO = "support"

uses = ("support",)


class Settings(preimage.Settings):
    """Where the image may be other than 0: the dataset's variable `support` says it, or a box."""

    box: Annotated[dict[str, tuple[NonNegativeInt, NonNegativeInt]], Field(min_length=1)] | None = None
    """For some dims the first index inside and the first one beyond, such as {y = [16, 48], x = [16, 48]}; the others
    are inside throughout. For a dataset without a variable `support`."""


class Support(Movable):
    """The constraint that x is 0 outside a region. Its prox is the projection.

    It has no value: that would be 0 or ∞, and ∞ for every iterate that meets it in the limit only.

    Parameters
    ----------
    inside : bool, True where x may be other than 0; broadcasts over an image of the space.
    space : of the image.
    """

    constraint = True

    def __init__(self, inside: Tensor, space: Space) -> None:
        fits = inside.ndim == space.ndim and all(m in (1, n) for m, n in zip(inside.shape, space.shape, strict=True))
        if inside.dtype != torch.bool or not fits:
            raise SpaceError(
                f"a support is bool and has, for each dim of the image {space.sizes}, its length or 1: this one is "
                f"{inside.dtype} of shape {tuple(inside.shape)}"
            )
        self.inside = inside

    def prox(self, x: Tensor, step: Any) -> Tensor:
        """x, with 0 outside."""
        return torch.where(self.inside, x, 0)

    def prox_(self, x: Tensor, step: Any) -> Tensor:
        """The same, written over x. Records no gradient."""
        return x.masked_fill_(~self.inside, 0)


@hookimpl
def preimage_prior(settings: Settings, domain: AnySpace, dataset: xr.Dataset) -> Support:
    """The constraint on one image; the variable's dims are among those of the image."""
    space, _ = chosen_dims(domain, None, WHO)
    if _has_box(settings, dataset):
        return Support(_box(settings, space).to(device_of(dataset)), space)
    found = require(dataset, "support", who=f"prior {WHO}")
    strange = [str(dim) for dim in found.dims if dim not in space.dims]
    if strange:
        dims = ", ".join(space.dims)
        raise DataError(f"prior {WHO} needs 'support' over dims of the image, {dims}: it has {strange[0]!r}")
    values = tensor(dataset, "support", tuple(dim for dim in space.dims if dim in found.dims))
    inside = values.bool()
    if not bool((inside == values).all()):
        raise DataError(f"prior {WHO} needs a 'support' of True and False, or of 1 and 0: it has other values")
    return Support(inside.reshape([found.sizes.get(dim, 1) for dim in space.dims]), space)


@hookimpl
def preimage_axes(settings: Settings, domain: AnySpace) -> Mapping[str, Axis]:
    """Every pixel is by itself; the indices of a box are those of the whole."""
    space, _ = chosen_dims(domain, None, WHO)
    return {dim: whole if dim in (settings.box or {}) else split for dim in space.dims}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The region and its complement, of which each takes at most a quarter of a real image."""
    return Memory(per_image=0.5)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Space]]:
    """Boxes along some dims and along all, real and complex, with a dim of length one."""
    yield Settings(box={"x": (1, 4)}), Space(("z", "y", "x"), (3, 1, 5), torch.complex128)
    yield Settings(box={"y": (0, 2), "x": (1, 3)}), Space(("y", "x"), (4, 3), torch.float64)


def _has_box(settings: Settings, dataset: xr.Dataset) -> bool:
    """Whether the region is a box; a dataset's own must not be overruled."""
    given = "support" in dataset.variables
    if given and settings.box is not None:
        raise DataError(f"prior {WHO} has a box, and the dataset has a variable 'support': leave out one of them")
    if not given and settings.box is None:
        raise DataError(
            f"prior {WHO} needs a variable 'support' in the dataset, or its setting box, such as box = {{x = [8, 24]}}"
        )
    return not given


def _box(settings: Settings, space: Space) -> Tensor:
    """True inside the box."""
    chosen_dims(space, tuple(settings.box or {}), f"{WHO}: box")
    inside = torch.ones((1,) * space.ndim, dtype=torch.bool)
    for dim, (start, stop) in (settings.box or {}).items():
        n = space.sizes[dim]
        if not start < stop <= n:
            raise RequestError(
                f"{WHO}: box.{dim} = [{start}, {stop}] is no part of the {n} pixels along {dim!r}: choose two indices "
                f"with 0 ≤ first < last ≤ {n}"
            )
        index = torch.arange(n)
        along = (index >= start) & (index < stop)
        inside = inside & along.reshape([n if other == dim else 1 for other in space.dims])
    return inside
