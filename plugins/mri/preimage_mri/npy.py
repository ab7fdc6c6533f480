"""K-space or coil images from an NPY file or an NPZ archive."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from pydantic import ByteSize

import preimage
from preimage import hookimpl
from preimage.data import Loader, lazy
from preimage.errors import DataError
from preimage_mri.dims import COIL, KSPACE_DIM, comma, image_dims, in_kspace, without_coil
from preimage_mri.examples import complex_noise
from preimage_mri.fourier import centred_fft
from preimage_mri.stored_arrays import Index, StoredArray, open_array


class Settings(preimage.Settings):
    """What an array holds, and where."""

    path: Path
    """An NPY file or an NPZ archive."""
    member: str | None = None
    """Name of the array in an archive that has several."""
    dims: tuple[str, ...]
    """Names of the array's axes, in its order: coil; kx, ky, kz in k-space; x, y, z in image space; time, ..."""
    domain: Literal["kspace", "coil-images"] = "kspace"
    """kspace: the array is the measurement. coil-images: the measurement is its centred unitary FFT over x, y, z,
    and the truth its root-sum-of-squares over the coils."""
    max_bytes: ByteSize = ByteSize(4 * 2**30)
    """An archive whose array is larger is refused before anything is allocated, such as "4 GiB"."""


class ArrayFile(Loader):
    """The array of a file, as data of MRI."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def describe(self) -> xr.Dataset:
        """The measurement, and the truth of coil images, from the file's header.

        Raises
        ------
        DataError : the file cannot be read, has other axes than `dims`, or holds no complex numbers.
        """
        settings = self.settings
        array = open_array(settings.path, settings.member, settings.max_bytes)
        self._check(array)
        if settings.domain == "kspace":
            return xr.Dataset({"measurement": lazy(settings.dims, array.shape, array.dtype, array.read)})
        images = _CoilImages(array, settings.dims)
        return xr.Dataset({"measurement": images.measurement(), "truth": images.truth()})

    def _check(self, array: StoredArray) -> None:
        dims, path = self.settings.dims, self.settings.path
        if len(dims) != len(array.shape) or len(set(dims)) != len(dims):
            raise DataError(
                f"{path} has the shape {array.shape} and dims = {comma(dims)}: name {len(array.shape)} different ones"
            )
        if array.dtype.kind != "c":
            raise DataError(f"{path} holds {array.dtype}: data of MRI are complex")
        if self.settings.domain == "coil-images" and not image_dims(dims):
            raise DataError(f"{path}: dims = {comma(dims)}: coil images have some of the dims {comma(KSPACE_DIM)}")


class _CoilImages:
    """Coil images, and what follows from them."""

    def __init__(self, array: StoredArray, dims: tuple[str, ...]) -> None:
        self.array = array
        self.stored = dims
        self.sizes = dict(zip(dims, array.shape, strict=True))
        self.dims = (*(dim for dim in dims if dim == COIL), *without_coil(dims))

    def measurement(self) -> xr.Variable:
        """Their k-space, coils first. A transform needs all of an image: the first read computes it, and keeps it."""
        shape = tuple(self.sizes[dim] for dim in self.dims)
        return lazy(in_kspace(self.dims), shape, self.array.dtype, lambda index: self.kspace[index])

    def truth(self) -> xr.Variable:
        """√Σ |image|² over the coils."""
        dims = without_coil(self.dims)
        dtype = np.zeros((), self.array.dtype).real.dtype
        return lazy(dims, tuple(self.sizes[dim] for dim in dims), dtype, self.combined)

    @cached_property
    def kspace(self) -> NDArray[Any]:
        """The centred unitary FFT over all image dims."""
        whole = self.array.read((slice(None),) * len(self.stored))
        images = torch.from_numpy(np.array(whole.transpose([self.stored.index(dim) for dim in self.dims])))
        return centred_fft(images, tuple(self.dims.index(dim) for dim in image_dims(self.dims))).numpy()

    def combined(self, index: Index) -> NDArray[Any]:
        """The truth at an index; only the images there are read."""
        dims = without_coil(self.stored)
        kept = dict(zip(without_coil(self.dims), (_as_slice(part) for part in index), strict=True))
        images = self.array.read(tuple(kept.get(dim, slice(None)) for dim in self.stored))
        power = images.real**2 + images.imag**2
        if COIL in self.stored:
            power = power.sum(self.stored.index(COIL))
        root: NDArray[Any] = np.sqrt(power).transpose([dims.index(dim) for dim in without_coil(self.dims)])
        return root[tuple(slice(None) if isinstance(part, slice) else 0 for part in index)]


def _as_slice(part: int | slice) -> slice:
    return part if isinstance(part, slice) else slice(part, part + 1)


@hookimpl
def preimage_loader(settings: Settings) -> ArrayFile:
    """Make the loader of one file."""
    return ArrayFile(settings)


@hookimpl
def preimage_examples(folder: Path) -> Iterator[tuple[Settings, xr.Dataset]]:
    """K-space in a file, a member of an archive, and coil images with the coils last."""
    random = np.random.default_rng(0)
    kspace = complex_noise(random, (3, 5, 4))

    np.save(folder / "kspace.npy", kspace)
    dims = ("coil", "kz", "ky")
    yield Settings(path=folder / "kspace.npy", dims=dims), xr.Dataset({"measurement": (dims, kspace)})

    np.savez_compressed(folder / "several.npz", kspace=kspace, other=np.zeros(2))
    settings = Settings(path=folder / "several.npz", member="kspace", dims=("time", "kx", "ky"))
    yield settings, xr.Dataset({"measurement": (settings.dims, kspace)})

    images = random.integers(-4, 5, (4, 4, 3)) * (1 + 2j)  # small integers: the transforms of 4 × 4 are exact
    np.savez(folder / "images.npz", images)
    shifted = np.fft.ifftshift(np.moveaxis(images, -1, 0), axes=(1, 2))
    expected = np.fft.fftshift(np.fft.fft2(shifted), axes=(1, 2)) / 4
    settings = Settings(path=folder / "images.npz", dims=("z", "y", "coil"), domain="coil-images")
    truth = np.sqrt((images.real**2 + images.imag**2).sum(-1))
    yield settings, xr.Dataset({"measurement": (("coil", "kz", "ky"), expected), "truth": (("z", "y"), truth)})
