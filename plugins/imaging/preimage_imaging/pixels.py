"""The pixels of a picture in a file, whatever its format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = tuple[slice, ...]


@dataclass(frozen=True)
class Pixels:
    """The pixels of a file, as its header describes them; an opacity is left out.

    Attributes
    ----------
    dims : names of the axes; None where the header does not tell.
    read : returns the part of the array in an index of slices, one for each axis; that of `channel` is whole.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    dims: tuple[str, ...] | None
    read: Callable[[Index], NDArray[Any]]
