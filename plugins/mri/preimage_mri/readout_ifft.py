"""The inverse FFT along a fully sampled readout, after which slices are independent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import xarray as xr
from pydantic import field_validator

import preimage
from preimage import Memory, hookimpl, split
from preimage.data import Preparation, header, is_small, require, tensor, variable
from preimage.declarations import Axis
from preimage.errors import DataError
from preimage_mri.dims import COIL, IMAGE_DIM, comma, names, without_coil
from preimage_mri.encoding.headers import is_constant
from preimage_mri.examples import kspace_dataset
from preimage_mri.fourier import centred_ifft

WHO = "readout-ifft"
SMALL = ("mask", "held_out")

requires = {"measurement": ()}
provides = {"measurement": ()}


class Settings(preimage.Settings):
    """Which dim is the readout."""

    dim: str = "kx"
    """A dim of k-space that is fully sampled: kx, ky or kz."""

    @field_validator("dim")
    @classmethod
    def _is_in_kspace(cls, dim: str) -> str:
        if dim not in IMAGE_DIM:
            raise ValueError(f"name a dim of k-space: {', '.join(IMAGE_DIM)}")
        return dim


class ReadoutIfft(Preparation):
    """The centred unitary inverse FFT of the measurement along one dim.

    The dim's image dim comes right after that of the coils: data of a slice are read at once, and the dims
    that an operator still transforms lie together, as its FFTs are fastest. A mask loses the dim, along
    which it must not vary. The noise stays what it was, since the transform is unitary.
    """

    def __init__(self, dim: str) -> None:
        self.dim = dim
        self.image_dim = IMAGE_DIM[dim]

    def describe(self, dataset: xr.Dataset) -> xr.Dataset:
        """The measurement with the readout in image space.

        Raises
        ------
        DataError : the measurement has no such dim or is real, or a mask varies along it.
        """
        found = require(dataset, "measurement", who=WHO)
        if self.dim not in found.dims or self.image_dim in found.dims:
            raise DataError(
                f"{WHO} needs a 'measurement' with the dim {self.dim!r} and without {self.image_dim!r}: "
                f"it has {comma(found.dims)}"
            )
        if found.dtype.kind != "c":
            raise DataError(f"{WHO} needs a complex 'measurement': it is {found.dtype}")
        dims = self.dims_after(names(found.dims))
        sizes = {**found.sizes, self.image_dim: found.sizes[self.dim]}
        measurement = header(dims, tuple(sizes[dim] for dim in dims), found.dtype, **found.attrs)
        return self._without_dim(dataset).assign(measurement=measurement)

    def dims_after(self, dims: tuple[str, ...]) -> tuple[str, ...]:
        """The dims of the measurement afterwards."""
        coil = [dim for dim in dims if dim == COIL]
        return (*coil, self.image_dim, *(dim for dim in without_coil(dims) if dim != self.dim))

    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """Transform a block."""
        dims = names(dataset["measurement"].dims)
        after = self.dims_after(dims)
        kspace = tensor(dataset, "measurement", tuple(self.dim if dim == self.image_dim else dim for dim in after))
        image = centred_ifft(kspace, (after.index(self.image_dim),))
        measurement = variable(image, after, **dataset["measurement"].attrs)
        return self._without_dim(dataset).assign(measurement=measurement)

    def _without_dim(self, dataset: xr.Dataset) -> xr.Dataset:
        """The dataset without its measurement, and without the dim in all else."""
        rest = dataset.drop_vars([name for name in ("measurement", self.dim) if name in dataset.variables])
        for name in SMALL:
            if is_small(rest, name) and self.dim in rest[name].dims:
                if not is_constant(rest[name], self.dim):
                    raise DataError(
                        f"{WHO}: {name!r} ({comma(rest[name].dims)}) varies along {self.dim!r}: only a fully sampled "
                        "readout can be transformed before the data are solved"
                    )
                rest[name] = rest[name].isel({self.dim: 0}, drop=True).variable
        strange = [str(name) for name, array in rest.data_vars.items() if self.dim in array.dims]
        if strange:
            raise DataError(
                f"{WHO} cannot transform {comma(strange)} along {self.dim!r}: only the measurement, and a mask that is "
                "marked small and does not vary along it"
            )
        return rest


@hookimpl
def preimage_preparation(settings: Settings, dataset: xr.Dataset) -> ReadoutIfft:
    """Make the preparation."""
    return ReadoutIfft(settings.dim)


@hookimpl
def preimage_axes(settings: Settings, dataset: xr.Dataset) -> Mapping[str, Axis]:
    """Only the readout is needed whole."""
    return {dim: split for dim in names(dataset["measurement"].dims) if dim != settings.dim}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The data, and three copies of them on their way through the transform."""
    return Memory(per_input=4.2)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, xr.Dataset]]:
    """Even, odd and size-one readouts, first, last and between, and masks with and without the dim."""
    yield Settings(), kspace_dataset({"coil": 3, "kx": 4, "kz": 5, "ky": 2}, ["kz", "ky"])
    yield Settings(), kspace_dataset({"coil": 2, "ky": 4, "kx": 5})
    yield Settings(dim="ky"), kspace_dataset({"ky": 1, "kz": 4, "time": 3}, ["kz"])
    masked = kspace_dataset({"kz": 3, "ky": 4}, ["kz", "ky"])
    masked["mask"][:] = masked["mask"][:, :1]
    yield Settings(dim="ky"), masked
