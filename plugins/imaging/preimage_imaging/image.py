"""An image or a stack from a PNG, TIFF or NPY file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
import xarray as xr
from numpy.typing import NDArray
from PIL import Image
from pydantic import ByteSize, PositiveFloat

import preimage
from preimage import hookimpl
from preimage.data import Loader, lazy
from preimage.errors import DataError
from preimage_imaging.formats import open_pixels
from preimage_imaging.pixels import Pixels

CHANNEL = "channel"
LUMINANCE = (0.2125, 0.7154, 0.0721)
"""Share of red, green and blue in what is seen as brightness, ITU-R BT.709."""


class Settings(preimage.Settings):
    """Integers are divided by the largest number of their type, so that an image lies in [0, 1].

    Colours become the first dim, `channel`; an opacity is left out.
    """

    path: Path
    """A PNG, TIFF (of several series the first) or NPY file."""
    dims: tuple[str, ...] | None = None
    """Names of the file's axes, in its order, colours being `channel`; default: y, x of a picture, z, y, x of a stack,
    y, x, channel of colours."""
    variable: Literal["truth", "measurement"] = "truth"
    """What the image is: a truth to simulate from, or itself what was measured."""
    colour: Literal["channel", "grey"] = "channel"
    """channel: keep colours as a dim. grey: the luminance 0.2125 R + 0.7154 G + 0.0721 B."""
    scale: PositiveFloat | None = None
    """What values are divided by; default: the largest number of an integer type (255 for 8 bits), 1 for others."""
    max_bytes: ByteSize = ByteSize(4 * 2**30)
    """A header that promises more than this, and more than its file holds, is refused, such as "4 GiB"."""


class ImageFile(Loader):
    """An image in a file, whose pixels are read when they are asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def describe(self) -> xr.Dataset:
        """A dataset with the image as its only variable, from the file's header.

        Raises
        ------
        DataError : the file cannot be read, is too large, or has other axes than the settings say.
        """
        pixels = open_pixels(self.settings.path)
        self._check_size(pixels)
        picture = _Picture(pixels, self._dims(pixels), self.settings)
        values = lazy(picture.dims, picture.shape, picture.dtype, picture.read)
        return xr.Dataset({self.settings.variable: values})

    def _check_size(self, pixels: Pixels) -> None:
        declared = math.prod(pixels.shape) * pixels.dtype.itemsize
        if declared == 0:
            raise DataError(f"{self.settings.path} holds no pixels: its shape is {pixels.shape}")
        if declared > max(self.settings.max_bytes, self.settings.path.stat().st_size):
            size, limit = ByteSize(declared).human_readable(), self.settings.max_bytes.human_readable()
            raise DataError(
                f"{self.settings.path} says that it is {pixels.shape} {pixels.dtype}, {size}: more than "
                f"max_bytes = {limit}; raise it if that is right"
            )

    def _dims(self, pixels: Pixels) -> tuple[str, ...]:
        dims = self.settings.dims or pixels.dims or (("z", "y", "x")[-len(pixels.shape) :])
        if len(dims) != len(pixels.shape) or len(set(dims)) != len(dims):
            names = f"dims = {', '.join(dims)}" if self.settings.dims else "dims is not set"
            raise DataError(
                f"{self.settings.path} has the shape {pixels.shape}, and {names}: "
                f"set dims to {len(pixels.shape)} different names"
            )
        return dims


class _Picture:
    """Pixels as the image they mean: floating, scaled, colours first or grey.

    Attributes
    ----------
    stored : dims in the file.
    """

    def __init__(self, pixels: Pixels, stored: tuple[str, ...], settings: Settings) -> None:
        self.pixels = pixels
        self.stored = stored
        self.grey = settings.colour == "grey" and CHANNEL in stored
        sizes = dict(zip(stored, pixels.shape, strict=True))
        if self.grey and sizes[CHANNEL] != len(LUMINANCE):
            raise DataError(
                f"{settings.path} has {sizes[CHANNEL]} channels: only red, green and blue make grey; "
                'set colour = "channel"'
            )
        spatial = tuple(dim for dim in stored if dim != CHANNEL)
        self.dims = (CHANNEL, *spatial) if CHANNEL in stored and not self.grey else spatial
        self.shape = tuple(sizes[dim] for dim in self.dims)
        self.dtype = _floating(pixels.dtype)
        self.scale = settings.scale or (np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else 1.0)

    def read(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        """A part of the image; of the file no more is read than its part along all dims but the colours."""
        kept = tuple(part if isinstance(part, slice) else slice(part, part + 1) for part in index)
        asked = dict(zip(self.dims, kept, strict=True))
        part = self.pixels.read(tuple(slice(None) if d == CHANNEL else asked[d] for d in self.stored))
        values = np.asarray(part, self.dtype)
        if self.scale != 1:
            values = values / self.dtype.type(self.scale)
        if CHANNEL in self.stored:
            values = np.moveaxis(values, self.stored.index(CHANNEL), 0)
            values = self._luminance(values) if self.grey else values[kept[0]]
        return values[tuple(slice(None) if isinstance(part, slice) else 0 for part in index)]

    def _luminance(self, colours: NDArray[Any]) -> NDArray[Any]:
        """Added up number by number: a matrix product would round a part otherwise than the whole."""
        red, green, blue = (self.dtype.type(share) * one for share, one in zip(LUMINANCE, colours, strict=True))
        grey: NDArray[Any] = red + green + blue
        return grey


def _floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Floating numbers keep their precision, from single to double; integers become single."""
    if dtype.kind not in "fc":
        return np.dtype(np.float32)
    single, double = (np.complex64, np.complex128) if dtype.kind == "c" else (np.float32, np.float64)
    return np.dtype(single if dtype.itemsize <= np.dtype(single).itemsize else double)


@hookimpl
def preimage_loader(settings: Settings) -> ImageFile:
    """The loader of one file."""
    return ImageFile(settings)


@hookimpl
def preimage_examples(folder: Path) -> Iterator[tuple[Settings, xr.Dataset]]:
    """A grey and a coloured picture, a stack, and an array of complex numbers."""
    random = np.random.default_rng(0)

    grey = random.integers(0, 256, (5, 7), np.uint8)
    Image.fromarray(grey).save(folder / "grey.png")
    yield Settings(path=folder / "grey.png"), xr.Dataset({"truth": (("y", "x"), grey / np.float32(255))})

    colours = random.integers(0, 256, (1, 6, 3), np.uint8)
    Image.fromarray(colours).save(folder / "colours.png")
    expected = np.moveaxis(colours, -1, 0) / np.float32(255)
    settings = Settings(path=folder / "colours.png", variable="measurement")
    yield settings, xr.Dataset({"measurement": ((CHANNEL, "y", "x"), expected)})

    stack = random.integers(0, 4096, (3, 5, 4), np.uint16)
    tifffile.imwrite(folder / "stack.tif", stack, photometric="minisblack", compression="zlib")
    settings = Settings(path=folder / "stack.tif", scale=4095)
    yield settings, xr.Dataset({"truth": (("z", "y", "x"), stack / np.float32(4095))})

    field = random.standard_normal((4, 3)) + 1j * random.standard_normal((4, 3))
    np.save(folder / "field.npy", field)
    yield Settings(path=folder / "field.npy", dims=("x", "time")), xr.Dataset({"truth": (("x", "time"), field)})
