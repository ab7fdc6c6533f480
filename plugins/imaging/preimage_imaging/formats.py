"""Opening pictures: NPY, PNG and TIFF files, told apart by their first bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preimage.errors import DataError
from preimage_imaging.pixels import Index, Pixels
from preimage_imaging.tiff import tiff_pixels

T = TypeVar("T")

_PNG = b"\x89PNG\r\n\x1a\n"
_NPY = b"\x93NUMPY"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OPAQUE = {"LA": "L", "P": "RGB", "RGBA": "RGB"}
"""Modes of Pillow with a palette or an opacity, and what they become."""
_PNG_TYPES = {"1": np.bool_, "L": np.uint8, "RGB": np.uint8, "I;16": np.uint16, "I": np.uint16}


def open_pixels(path: Path) -> Pixels:
    """Read the header of a file.

    Raises
    ------
    DataError : there is no such file, it is none of these, or it is damaged; `read` raises it too.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    if start.startswith(_NPY):
        opener = _npy
    elif start.startswith(_PNG):
        opener = _png
    elif start.startswith(_TIFF):
        opener = tiff_pixels
    else:
        raise DataError(f"{path} is no image that can be read: it is neither PNG nor TIFF nor NPY")
    pixels = _guarded(path, lambda: opener(path))
    if pixels.dtype.kind not in "buifc":
        raise DataError(f"{path} holds no numbers: its type is {pixels.dtype}")
    return Pixels(pixels.shape, pixels.dtype, pixels.dims, lambda index: _guarded(path, lambda: pixels.read(index)))


def _guarded(path: Path, act: Callable[[], T]) -> T:
    """Do something with a file that may be damaged anyhow, and so raise anything in the library that reads it."""
    try:
        return act()
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path} is damaged, or of a kind that cannot be read: {error}") from error


def _npy(path: Path) -> Pixels:
    def mapped() -> NDArray[Any]:
        return np.lib.format.open_memmap(path, mode="r")  # refuses objects, and more than the file holds

    array = mapped()
    return Pixels(array.shape, array.dtype, None, lambda index: np.array(mapped()[index]))


def _png(path: Path) -> Pixels:
    def opened() -> Image.Image:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the loader has a limit of its own
            return Image.open(path, formats=("PNG",))

    with opened() as picture:
        mode = _OPAQUE.get(picture.mode, picture.mode)
        width, height = picture.size
    with path.open("rb") as file:
        depth, colour = file.read(26)[24:]
    if depth == 16 and colour != 0:
        raise DataError(f"{path} has 16 bits a colour, of which 8 would be lost in reading: save it as TIFF")

    def read(index: Index) -> NDArray[Any]:
        with opened() as picture:
            return np.asarray(picture if picture.mode == mode else picture.convert(mode))[index]

    dtype = np.dtype(_PNG_TYPES[mode])
    if mode == "RGB":
        return Pixels((height, width, 3), dtype, ("y", "x", "channel"), read)
    return Pixels((height, width), dtype, ("y", "x"), read)
