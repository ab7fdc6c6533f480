"""Arrays in NPY files and NPZ archives, whose headers are read at once and whose values when they are asked for."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray
from pydantic import ByteSize

from preimage.errors import DataError

Index = tuple[int | slice, ...]
UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    tokenize.TokenError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and zipfile raise on files that are missing, damaged, encrypted or something else."""
_HEADER_READERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


@dataclass(frozen=True)
class StoredArray:
    """An array in a file.

    Attributes
    ----------
    read : returns the part of the array at an index of integers and slices.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[Index], NDArray[Any]]


def open_array(path: Path, member: str | None, max_bytes: int) -> StoredArray:
    """Open an NPY file, or one member of an NPZ archive. Nothing is ever unpickled.

    Parameters
    ----------
    member : the array's name in an archive; None is enough where there is only one.
    max_bytes : an archive that promises an array of more than this is refused: it can be far larger than its file.

    Raises
    ------
    DataError : the file is missing, no array of numbers, damaged or too large.
    """
    try:
        if zipfile.is_zipfile(path):
            return _open_member(path, member, max_bytes)
        if member is not None:
            raise DataError(f"{path} is no NPZ archive: it has no members, leave member = {member!r} out")
        return _open_file(path)
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read as an NPY file or NPZ archive: {error}") from None


def _open_file(path: Path) -> StoredArray:
    """Map an NPY file into memory; numpy refuses one that is shorter than its header says."""
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    _check_dtype(mapped.dtype, str(path))
    return StoredArray(mapped.shape, mapped.dtype, lambda index: np.array(mapped[index]))


def _open_member(path: Path, member: str | None, max_bytes: int) -> StoredArray:
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(_member_name(archive, path, member))
        with archive.open(info) as file:
            shape, dtype = _read_header(file, f"{path}, member {info.filename}")
            promised = file.tell() + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if promised != info.file_size:
        raise DataError(f"{path} is damaged: {info.filename} should have {promised} bytes, it has {info.file_size}")
    if promised > max_bytes:
        size, limit = (ByteSize(n).human_readable() for n in (promised, max_bytes))
        raise DataError(f"{path}: {info.filename} has {size}, more than max_bytes = {limit}; raise it if that is right")

    def read(index: Index) -> NDArray[Any]:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(info.filename) as file:
                values: NDArray[Any] = npy_format.read_array(file, allow_pickle=False)
        except UNREADABLE as error:
            raise DataError(f"{path}: {info.filename} cannot be read: {error}") from None
        return values[index]

    return StoredArray(shape, dtype, read)


def _member_name(archive: zipfile.ZipFile, path: Path, member: str | None) -> str:
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    if member is None and len(names) == 1:
        member = names[0]
    if member not in names:
        what = "it has several arrays" if member is None else f"it has no member {member!r}"
        raise DataError(f"{path}: {what}; set member to one of {', '.join(names) or 'none: it is empty'}")
    return archive.namelist()[names.index(member)]


def _read_header(file: IO[bytes], what: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy_format.read_magic(file)
    if version not in _HEADER_READERS:
        raise DataError(f"{what} has the NPY format {version}: save it again with numpy.savez")
    shape, _, dtype = _HEADER_READERS[version](file)
    _check_dtype(dtype, what)
    return shape, dtype


def _check_dtype(dtype: np.dtype[Any], what: str) -> None:
    if dtype.kind not in "biufc":
        raise DataError(f"{what} holds {dtype}, not numbers: pickled objects and records are refused")
