"""A truth from a NIfTI image, sliced on disk, with its geometry."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import ByteSize, Field

import preimage
from preimage import hookimpl
from preimage.data import Loader, lazy
from preimage.errors import DataError
from preimage_mri.dims import comma


class Settings(preimage.Settings):
    """Which image, and what its axes are called."""

    path: Path
    """A NIfTI file, .nii or .nii.gz."""
    dims: tuple[str, ...] = ("x", "y", "z")
    """Names of the file's axes, in its order; a fourth, if no `volume` is chosen, is called as a fourth name says."""
    order: tuple[str, ...] | None = None
    """The order of the dims of `truth`; default: the file's. A readout is best first, such as x, z, y."""
    volume: int | None = Field(default=None, ge=0)
    """Index of the volume along the file's fourth axis."""
    max_bytes: ByteSize = ByteSize(4 * 2**30)
    """A header that promises more than this, and more than its file holds, is refused, such as "4 GiB"."""


class NiftiImage(Loader):
    """The image of a file, as a truth to simulate from."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def describe(self) -> xr.Dataset:
        """`truth` with affine and voxel size in the attrs, from the file's header.

        Raises
        ------
        DataError : the file cannot be read, is too large, or has other axes than the settings say.
        """
        image = _open(self.settings.path)
        _check_size(image, self.settings)
        volume = _Volume(image, self.settings)
        values = lazy(volume.dims, volume.shape, volume.dtype, volume.read)
        return xr.Dataset({"truth": values}, attrs=volume.geometry())


class _Volume:
    """One volume of an image, its dims in the order that is asked for, in single precision."""

    def __init__(self, image: Any, settings: Settings) -> None:
        self.image = image
        self.volume = settings.volume
        self.stored = settings.dims
        shape = self._check_axes(settings)
        self.dims = settings.order or settings.dims
        self.shape = tuple(shape[self.stored.index(dim)] for dim in self.dims)
        self.dtype = np.dtype(np.complex64 if image.get_data_dtype().kind == "c" else np.float32)

    def _check_axes(self, settings: Settings) -> tuple[int, ...]:
        """Shape without the axis of volumes."""
        path, dims, shape = settings.path, settings.dims, tuple(map(int, self.image.shape))
        if self.volume is not None:
            if len(shape) != 4 or self.volume >= shape[3]:
                raise DataError(f"{path} has the shape {shape}: it has no volume {self.volume} along a fourth axis")
            shape = shape[:3]
        if len(dims) != len(shape) or len(set(dims)) != len(dims):
            cure = "" if len(shape) < 4 else ", or choose a volume"
            raise DataError(f"{path} has the shape {shape} and dims = {comma(dims)}: name {len(shape)} axes{cure}")
        if settings.order is not None and sorted(settings.order) != sorted(dims):
            raise DataError(f"order = {comma(settings.order)} must have the dims {comma(dims)}, each once")
        return shape

    def read(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        """A part of the volume; nibabel reads and scales no more of the file."""
        kept = [dim for dim, part in zip(self.dims, index, strict=True) if isinstance(part, slice)]
        at = dict(zip(self.dims, index, strict=True))
        volume = () if self.volume is None else (self.volume,)
        part = np.asarray(self.image.dataobj[(*(at[dim] for dim in self.stored), *volume)], self.dtype)
        return part.transpose([[dim for dim in self.stored if dim in kept].index(dim) for dim in kept])

    def geometry(self) -> dict[str, Any]:
        """`affine` from indices, in the order of the dims, to space; `voxel_size` of each dim; both in mm."""
        spatial = self.stored[:3]
        zooms = self.image.header.get_zooms()
        ordered = [dim for dim in self.dims if dim in spatial]
        columns = [*(spatial.index(dim) for dim in ordered), *range(len(ordered), 4)]
        return {
            "affine": self.image.affine[:, columns].tolist(),
            "voxel_size": {dim: float(zooms[spatial.index(dim)]) for dim in ordered},
        }


def _open(path: Path) -> Any:
    try:
        return nibabel.load(path)
    except (OSError, ValueError, nibabel.filebasedimages.ImageFileError) as error:
        raise DataError(f"{path} cannot be read as a NIfTI image: {error}") from None


def _check_size(image: Any, settings: Settings) -> None:
    path, dtype = settings.path, image.get_data_dtype()
    if dtype.kind not in "iufc":
        raise DataError(f"{path} holds {dtype}: a truth has one number a voxel")
    promised = math.prod(map(int, image.shape)) * dtype.itemsize
    if promised == 0:
        raise DataError(f"{path} holds no voxels: its shape is {image.shape}")
    if promised > max(settings.max_bytes, path.stat().st_size):
        size, limit = ByteSize(promised).human_readable(), settings.max_bytes.human_readable()
        raise DataError(f"{path} says that it has {size}, more than max_bytes = {limit}; raise it if that is right")


@hookimpl
def preimage_loader(settings: Settings) -> NiftiImage:
    """Make the loader of one image."""
    return NiftiImage(settings)


@hookimpl
def preimage_examples(folder: Path) -> Iterator[tuple[Settings, xr.Dataset]]:
    """A scaled volume, one of several volumes with its dims reordered, and several volumes with an axis of time."""
    random = np.random.default_rng(0)
    affine = np.array([[2.0, 0, 0, -5], [0, 3.0, 0, -6], [0, 0, 4.0, -7], [0, 0, 0, 1]])
    sizes = {"x": 2.0, "y": 3.0, "z": 4.0}

    values = random.integers(0, 256, (5, 4, 1)).astype(np.uint8)
    nibabel.save(_image(values, affine, 0.5, 1.0), folder / "scaled.nii.gz")
    expected = (values * 0.5 + 1).astype(np.float32)
    attrs = {"affine": affine.tolist(), "voxel_size": sizes}
    yield Settings(path=folder / "scaled.nii.gz"), xr.Dataset({"truth": (("x", "y", "z"), expected)}, attrs=attrs)

    several = random.standard_normal((5, 4, 3, 2)).astype(np.float32)
    nibabel.save(_image(several, affine), folder / "several.nii")
    settings = Settings(path=folder / "several.nii", volume=1, order=("x", "z", "y"))
    reordered = {
        "affine": affine[:, [0, 2, 1, 3]].tolist(),
        "voxel_size": {"x": 2.0, "z": 4.0, "y": 3.0},
    }
    expected = several[..., 1].transpose(0, 2, 1)
    yield settings, xr.Dataset({"truth": (settings.order, expected)}, attrs=reordered)

    settings = Settings(path=folder / "several.nii", dims=("x", "y", "z", "time"))
    yield settings, xr.Dataset({"truth": (settings.dims, several)}, attrs=attrs)


def _image(values: NDArray[Any], affine: NDArray[Any], slope: float = 1.0, intercept: float = 0.0) -> Any:
    """An image whose header says that a voxel is slope · what is stored + intercept."""
    image = nibabel.Nifti1Image(values, affine)  # type: ignore[no-untyped-call]
    image.header.set_slope_inter(slope, intercept)  # type: ignore[no-untyped-call]
    return image
