"""Arrays in HDF5 files from anywhere: nothing outside the file is followed, and sizes are checked before reading."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from preimage.errors import DataError
from pydantic import ByteSize

Index = tuple[int | slice, ...]


@dataclass(frozen=True)
class StoredArray:
    """An array of numbers in an HDF5 file, opened anew for every read, so that any thread or process may read.

    Attributes
    ----------
    name : path inside the file.
    dtype : in the byte order of this machine.
    units : as the file says them, or None.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    units: str | None

    def read(self, index: Index = ()) -> NDArray[Any]:
        """The part of the array at an index of integers and slices."""
        with h5py.File(self.path, "r") as file:
            values: NDArray[Any] = np.asarray(_own_dataset(file, self.name)[index], self.dtype)
        return values


def open_arrays(path: Path, names: tuple[str, ...], max_bytes: int) -> dict[str, StoredArray]:
    """The headers of those arrays that a file has.

    Parameters
    ----------
    max_bytes : an array that promises more than this, and more than the file holds, is refused.

    Raises
    ------
    DataError : the file cannot be read as HDF5; one of them lies outside it, holds no numbers, or is too large.
    """
    try:
        with h5py.File(path, "r") as file:
            return {name: _header(path, file, name, max_bytes) for name in names if _is_there(file, name)}
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # what h5py raises on a damaged file
        raise DataError(f"{path} cannot be read as HDF5: {error}") from None


def _header(path: Path, file: h5py.File, name: str, max_bytes: int) -> StoredArray:
    dataset = _own_dataset(file, name)
    if dataset.dtype.kind not in "iuf":
        raise DataError(f"{path}: {name} holds {dataset.dtype}, not numbers")
    promised = math.prod(dataset.shape) * dataset.dtype.itemsize
    if promised > max(max_bytes, path.stat().st_size):
        size, limit = (ByteSize(n).human_readable() for n in (promised, max_bytes))
        raise DataError(f"{path}: {name} has {size}, more than max_bytes = {limit}; raise it if that is right")
    units = dataset.attrs.get("units")
    units = units.decode(errors="replace") if isinstance(units, bytes) else units
    dtype = dataset.dtype.newbyteorder("=")
    return StoredArray(path, name, dataset.shape, dtype, units if isinstance(units, str) else None)


def _is_there(file: h5py.File, name: str) -> bool:
    """Whether there is a link of this name, wherever it leads."""
    group, _, own = name.rpartition("/")
    return (not group or _is_there(file, group)) and file[group or "/"].get(own, getlink=True) is not None


def _own_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset whose values are in this very file.

    Raises
    ------
    DataError : the way to it is a link to elsewhere, it is put together from other files, or it is no dataset.
    """
    here: Any = file
    for step in name.split("/"):
        if not isinstance(here.get(step, getlink=True), h5py.HardLink):
            raise DataError(f"{file.filename}: {name} is a link to elsewhere, which is not followed: copy the data")
        here = here[step]
    if not isinstance(here, h5py.Dataset):
        raise DataError(f"{file.filename}: {name} is no array")
    if here.is_virtual or here.external:
        raise DataError(f"{file.filename}: the values of {name} are in other files, which are not opened: copy them")
    return here
