"""Parts that hold tensors and can be moved to another device or precision as a copy."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Self

import torch
from torch import Tensor

from preimage.space import Blocks, ProductSpace, Space, same_field


class Movable:
    """Base of parts whose attributes hold tensors, also in lists, tuples, dicts, modules and other parts."""

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Return a copy on `device`, in the precision of `dtype`; the original is never changed.

        `dtype` is any floating dtype: complex tensors become complex of that precision, real ones real;
        integers and masks stay as they are.
        """
        other = copy.copy(self)
        other.__dict__.update({name: moved(value, device, dtype) for name, value in vars(self).items()})
        return other

    def tensors(self) -> Iterator[Tensor]:
        """Yield all tensors that the part holds."""
        for value in vars(self).values():
            yield from _tensors(value)

    def trainable(self) -> bool:
        """Whether any tensor that the part holds requires a gradient."""
        return any(tensor.requires_grad for tensor in self.tensors())

    @property
    def device(self) -> torch.device | None:
        """Where the tensors of the part lie; None if it holds none."""
        first = next(self.tensors(), None)
        return None if first is None else first.device


def moved(value: Any, device: torch.device | str | None, dtype: torch.dtype | None) -> Any:
    """Return a value with all tensors that it holds moved; what holds none is returned as it is."""
    match value:
        case Tensor():
            return value.to(device=device, dtype=None if dtype is None else same_field(value.dtype, dtype))
        case torch.nn.Module():
            return copy.deepcopy(value).to(device=device, dtype=dtype)
        case Movable():
            return value.to(device, dtype)
        case Space() | ProductSpace():
            return value if dtype is None else value.with_dtype(dtype)
        case list() | tuple() if type(value) in (list, tuple):
            return type(value)(moved(item, device, dtype) for item in value)
        case Blocks() | dict():
            return type(value)({name: moved(item, device, dtype) for name, item in value.items()})
    return value


def _tensors(value: Any) -> Iterator[Tensor]:
    match value:
        case Tensor():
            yield value
        case torch.nn.Module():
            yield from value.parameters()
            yield from value.buffers()
        case Movable():
            yield from value.tensors()
        case Mapping():
            for item in value.values():
                yield from _tensors(item)
        case list() | tuple():
            for item in value:
                yield from _tensors(item)
