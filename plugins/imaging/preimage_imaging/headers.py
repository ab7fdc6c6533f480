"""What operators read from the headers of a dataset of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr

from preimage.data import require
from preimage.errors import DataError
from preimage.space import Space

_FLOATING = ("float32", "float64", "complex64", "complex128")


def image_space(dataset: xr.Dataset, who: str) -> Space:
    """The space of the measured image: of `measurement` if there is one, else of `truth`.

    Parameters
    ----------
    who : named in the error as the one who needs it.

    Raises
    ------
    DataError : there is neither, or its values are not floating-point numbers.
    """
    name = "measurement" if "measurement" in dataset.variables else "truth"
    if name not in dataset.variables:
        has = ", ".join(map(str, dataset.data_vars)) or "no variable"
        raise DataError(f"{who} needs a 'measurement', or a 'truth' to simulate one from: the dataset has {has}")
    found = require(dataset, name)
    if found.dtype.name not in _FLOATING:
        raise DataError(f"{who} needs {name!r} as {', '.join(_FLOATING)}: it is {found.dtype}; convert it")
    return Space(tuple(map(str, found.dims)), found.shape, getattr(torch, found.dtype.name))


def require_dims(dims: tuple[str, ...], space: Space, setting: str) -> tuple[str, ...]:
    """Return the dims that a setting names, in the order of the image's.

    Raises
    ------
    DataError : the image lacks one of them, or one is named twice.
    """
    missing = [dim for dim in dims if dim not in space.dims]
    if missing:
        raise DataError(f"{setting} names {missing[0]!r}: the image has the dims {', '.join(space.dims) or 'none'}")
    if len(set(dims)) < len(dims):
        raise DataError(f"{setting} names a dim twice: {', '.join(dims)}")
    return tuple(dim for dim in space.dims if dim in dims)


def numpy_dtype(dtype: torch.dtype) -> np.dtype[Any]:
    """A floating torch dtype as numpy's."""
    return np.dtype(str(dtype).removeprefix("torch."))
