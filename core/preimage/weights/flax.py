"""Flax's serialisation: a tree of arrays in msgpack, decoded as data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import torch
from torch import Tensor

from preimage.errors import WeightsError
from preimage.weights.native import shown

ARRAY = 1
"""The type of msgpack extension by which Flax stores an array: its shape, dtype and bytes, again in msgpack."""
DTYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
}
MAX_DEPTH = 32
MAX_DIMS = 8


def read_flax(data: bytes, path: Path) -> dict[str, Tensor]:
    """The arrays of a tree, with the names that lead to each joined by dots.

    Raises
    ------
    WeightsError : it is no such tree, or an array's shape and dtype are not what its bytes hold.
    """

    def array(code: int, content: bytes) -> Tensor:
        if code != ARRAY:
            raise WeightsError(
                f"{path} holds a msgpack extension of type {code}: arrays, of type {ARRAY}, are read alone"
            )
        return _array(content, path)

    try:
        tree = msgpack.unpackb(data, ext_hook=array, strict_map_key=True)
        return dict(_leaves(tree, "", 0, path))
    except WeightsError:
        raise
    except (msgpack.UnpackException, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is no msgpack: {str(error) or type(error).__name__}") from None


def _array(content: bytes, path: Path) -> Tensor:
    """One array; its size is compared with that of its bytes before anything is made of it."""
    fields = msgpack.unpackb(content)
    match fields:
        case [[*shape], str(name), bytes(raw)] if len(shape) <= MAX_DIMS and all(_is_length(n) for n in shape):
            pass
        case _:
            raise WeightsError(f"{path} holds an array that is not given by its shape, dtype and bytes")
    if name not in DTYPES:
        raise WeightsError(f"{path} holds an array of dtype {shown(name)}: there are {', '.join(DTYPES)}")
    if math.prod(shape) * DTYPES[name].itemsize != len(raw):
        raise WeightsError(f"{path} holds an array that says it is {name} of shape {tuple(shape)}, in {len(raw)} bytes")
    native = np.frombuffer(raw, DTYPES[name]).astype(name)
    return torch.from_numpy(native.reshape(shape))


def _is_length(n: Any) -> bool:
    return type(n) is int and 0 <= n < 2**31


def _leaves(tree: Any, at: str, depth: int, path: Path) -> Iterator[tuple[str, Tensor]]:
    if isinstance(tree, Tensor):
        yield at, tree
        return
    if not isinstance(tree, Mapping) or depth > MAX_DEPTH:
        deep = depth > MAX_DEPTH
        what = f"{MAX_DEPTH} levels deep" if deep else f"a {type(tree).__name__}: only arrays with names are read"
        raise WeightsError(f"{path}: {shown(at) if at else 'the file'} is {what}")
    for name, part in tree.items():
        yield from _leaves(part, f"{at}.{name}" if at else str(name), depth + 1, path)
