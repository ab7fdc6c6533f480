"""A NIfTI image, for FSLeyes, ITK-SNAP and others: voxels in the order x, y, z, with the affine.

References
----------
NIfTI-1 data format, https://nifti.nimh.nih.gov/nifti-1/
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import nibabel
import numpy as np

from preimage.errors import RequestError
from preimage.export import Part
from preimage.export.geometry import IN_SECONDS, SPACE, TIME
from preimage.export.source import Array, Source, regions
from preimage.volumes.progress import Progress

LIMIT = 2**24
"""Voxels that are read and written at once."""
LONGEST = 2**15 - 1
"""Voxels along an axis of a NIfTI-1 image; longer ones are written as NIfTI-2."""
LEVEL = 1
"""Of gzip: with more, a measured volume is hardly smaller."""
TAKEN: dict[Part, Callable[[Array], Array]] = {
    Part.COMPLEX: np.asarray,
    Part.MAGNITUDE: np.abs,
    Part.PHASE: np.angle,
}


def prepare(source: Source, part: Part) -> Image:
    """The image of a variable.

    Raises
    ------
    RequestError : it has other dims than an image, or more.
    """
    dims = [*source.sizes]
    space = [dim for dim in SPACE if dim in dims]
    further = [dim for dim in dims if dim not in SPACE]
    if len(space) < 2 or len(further) > 1:
        raise RequestError(
            f"{source.name} has the dims {', '.join(dims) or 'none'}; a NIfTI image has two or three of x, y, z, "
            "and one more: choose an index along every other dim, such as --at coil=0"
        )
    return Image(source, part, (*space, *further))


@dataclass(frozen=True)
class Image:
    """An image in a file.

    Attributes
    ----------
    dims : of the source, in the order of the file, in which the first changes fastest.
    """

    source: Source
    part: Part
    dims: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """In voxels, of the file: what is no axis of space is its fourth."""
        space = [self.source.sizes[dim] for dim in self.dims if dim in SPACE]
        further = [self.source.sizes[dim] for dim in self.dims if dim not in SPACE]
        return (*space, *[1] * (3 - len(space)), *further) if further else tuple(space)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a voxel."""
        return self.source.dtype if self.part is Part.COMPLEX else np.dtype(np.float32)

    @property
    def text(self) -> str:
        """What it is, in a line."""
        what = self.dtype.name if self.part is Part.COMPLEX else f"{self.part}"
        return f"NIfTI-{self._version}, {what}, {' × '.join(map(str, self.shape))} ({', '.join(self.dims)})"

    @property
    def _version(self) -> int:
        return 1 if max(self.shape) <= LONGEST else 2

    def write(self, path: Path, progress: Progress) -> None:
        """Write the header, then the voxels in the order of the file, a slab at a time."""
        header, order = self.header(), self.dims[::-1]
        shape = [self.source.sizes[dim] for dim in order]
        slabs = [*regions(shape, _slab(shape))]
        with _opened(path) as file:
            header.write_to(file)
            for done, region in enumerate(slabs):
                progress.working("voxels", done, len(slabs))
                values = TAKEN[self.part](self.source.read(order, region))
                file.write(np.ascontiguousarray(values, header.get_data_dtype()).data)
        progress.working("voxels", len(slabs), len(slabs))

    def header(self) -> Any:
        """Shape, type of a voxel, affine, units, and the step along time."""
        space = [dim for dim in self.dims if dim in SPACE]
        kind: Any = nibabel.Nifti1Image if self._version == 1 else nibabel.Nifti2Image
        nothing = np.broadcast_to(self.dtype.type(0), self.shape)
        header = kind(nothing, self.source.affine(space)).header
        header.set_slope_inter(1, 0)  # a voxel is what is stored
        known = "affine" in self.source.attributes or any(self.source.axis(dim).unit for dim in space)
        units = {"xyz": "mm"} if known else {}
        if self.dims[-1] in TIME:
            time = self.source.axis(self.dims[-1])
            if time.unit in IN_SECONDS:
                header.set_zooms((*header.get_zooms()[:-1], time.step * IN_SECONDS[time.unit]))
                units["t"] = "sec"
        header.set_xyzt_units(**units)
        return header


def _slab(shape: Sequence[int]) -> list[int]:
    """What is read at once of an array in C order: one of the first dims, a few of the next, all of the last."""
    axis = next(i for i in range(len(shape)) if math.prod(shape[i + 1 :]) <= LIMIT)
    few = max(1, LIMIT // math.prod(shape[axis + 1 :]))
    return [*[1] * axis, min(few, shape[axis]), *shape[axis + 1 :]]


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """A file, compressed if its name says so; the same voxels make the same file."""
    with path.open("wb") as file:
        if path.suffix != ".gz":
            yield file
            return
        with gzip.GzipFile("", "wb", LEVEL, file, mtime=0) as compressed:
            yield compressed
