"""The pixels of TIFF files, read page by page or straight from the file where they lie in one piece."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from preimage.errors import DataError
from preimage_imaging.pixels import Index, Pixels

_DIMS = {"T": "time", "C": "channel", "S": "channel", "Z": "z", "Y": "y", "X": "x"}
_ALPHA = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
_STRANGE = (tifffile.PHOTOMETRIC.PALETTE, tifffile.PHOTOMETRIC.MINISWHITE)


def tiff_pixels(path: Path) -> Pixels:
    """The first series of a TIFF file: pages of one shape and type, as a stack."""
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        page = series.keyframe
        if page.photometric in _STRANGE:
            kind = tifffile.PHOTOMETRIC(page.photometric).name
            raise DataError(f"{path} stores {kind} pixels: save it as greyscale or RGB")
        if page.compression not in tifffile.TIFF.DECOMPRESSORS:
            kind = tifffile.COMPRESSION(page.compression).name
            raise DataError(f"{path} is compressed by {kind}: pip install imagecodecs to read it")
        opaque = [slice(None)] * series.ndim
        if "S" in series.axes:
            n_opaque = page.samplesperpixel - sum(extra in _ALPHA for extra in page.extrasamples)
            opaque[series.axes.index("S")] = slice(n_opaque)
        reader = _reader(path, series)
        shape = tuple(len(range(n)[part]) for n, part in zip(series.shape, opaque, strict=True))
        return Pixels(shape, series.dtype, _named(series.axes), lambda index: reader(index)[tuple(opaque)])


def _named(axes: str) -> tuple[str, ...] | None:
    """The dims of axes; one that is unknown, such as the pages of a plain stack, is z if there is no other."""
    dims = tuple(_DIMS.get(axis, "z") for axis in axes)
    return dims if len(set(dims)) == len(dims) else None


def _reader(path: Path, series: tifffile.TiffPageSeries) -> Any:
    """How a part of a series is read: with no more of the file than must be."""
    if series.dataoffset is not None:
        tifffile.memmap(path, mode="r")  # refuses more than the file holds
        return lambda index: np.array(tifffile.memmap(path, mode="r")[index])
    dtype, page_shape = series.dtype, tuple(series.keyframe.shape)
    stack = tuple(series.shape[: series.ndim - len(page_shape)])
    if (*stack, *page_shape) != tuple(series.shape) or len(series.pages) != math.prod(stack):
        return lambda index: tifffile.imread(path, series=0)[index]

    def read(index: Index) -> NDArray[Any]:
        numbers = np.arange(math.prod(stack)).reshape(stack)[index[: len(stack)]]
        inside = index[len(stack) :]
        lengths = [len(range(n)[part]) for n, part in zip(page_shape, inside, strict=True)]
        part = np.empty((*numbers.shape, *lengths), dtype)
        with tifffile.TiffFile(path) as file:
            for place, number in np.ndenumerate(numbers):
                part[place] = file.asarray(key=int(number), series=0)[inside]
        return part

    return read
