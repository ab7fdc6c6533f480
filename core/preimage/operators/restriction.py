"""The part of an image that is in a region: what a block has to do with more than itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from preimage.errors import SpaceError
from preimage.operators.linear import LinearOperator
from preimage.operators.norm import Norm
from preimage.space import Space


class Crop(LinearOperator):
    """x ↦ the part of x that is in a region; it shares memory with x.

    Parameters
    ----------
    space : of x.
    region : a slice for some dims, in steps of 1; the others are whole.

    Raises
    ------
    SpaceError : the space has no such dim, or the region is empty.
    """

    domain: Space
    codomain: Space

    def __init__(self, space: Space, region: Mapping[str, slice]) -> None:
        bounds = {dim: region.get(dim, slice(None)).indices(n) for dim, n in space.sizes.items()}
        lengths = {dim: len(range(*found)) for dim, found in bounds.items()}
        strange = [dim for dim in region if dim not in lengths] + [dim for dim, n in lengths.items() if not n]
        if strange:
            raise SpaceError(f"{space} has nothing at {strange[0]} = {region.get(strange[0])}")
        super().__init__(space, Space(space.dims, tuple(lengths.values()), space.dtype))
        self.index: Any = (..., *(slice(*found) for found in bounds.values()))

    def _apply(self, x: Tensor) -> Tensor:
        return x[self.index]

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        x = y.new_zeros((*self.codomain.batch(y), *self.domain.shape))
        x[self.index] = y
        return x

    def _bound(self) -> Norm:
        return Norm(1.0, "exact")
