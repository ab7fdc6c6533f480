"""Datasets: the conventions, loaders and preparations, and how values become tensors.

A dataset is an xarray.Dataset. By convention it has

- `measurement` with the physics' dims, such as coil, kz, ky;
- where present `mask` (True where measured), `sensitivities`, `trajectory`, `noise_std`, `psf`, `truth`;
- geometry, such as `affine` and `voxel_size`, in its attrs, which go from the loader to the output.

A dim with one name in the image and in the data corresponds index by index. A variable with
`attrs["small"] = True`, such as a mask, may be read while a run is planned; all others are headers until
a block of them is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor
from xarray.backends import BackendArray
from xarray.core import indexing

from preimage.errors import DataError, RunError

DEVICE = "device"
"""The attribute under which a block's dataset names the device on which its parts are to be made."""
ORIGIN = "origin"
"""The attribute under which a block's dataset says where in the whole it begins: dim → index."""
WHOLE = "whole"
"""The attribute under which a block's dataset says how long the whole is: dim → length."""

Region = Mapping[str, slice]
"""A part of a dataset: for some dims a slice; the others are whole."""


class Loader(Protocol):
    """Where data come from."""

    def describe(self) -> xr.Dataset:
        """The dataset, opened lazily from headers. Declared sizes are checked before anything is allocated."""
        ...


class Preparation(Protocol):
    """A step that makes one dataset from another before it is solved. Derive from it to inherit the defaults."""

    def describe(self, dataset: xr.Dataset) -> xr.Dataset:
        """The dataset afterwards, as headers; see `header`."""
        ...

    def reads(self, dataset: xr.Dataset) -> Region:
        """The region that `fit` needs; whole dims are left out."""
        return {}

    def fit(self, dataset: xr.Dataset) -> xr.Dataset:
        """What is computed once a run from the region that it reads: small, and stored beside the result."""
        return xr.Dataset()

    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """The dataset of one block afterwards; `fitted` is cut to the block along the dims that it shares."""
        ...


def header(dims: tuple[str, ...], shape: tuple[int, ...], dtype: Any, **attrs: Any) -> xr.Variable:
    """A variable that has a shape and a dtype but no values, and takes no memory."""
    return xr.Variable(dims, np.broadcast_to(np.zeros((), np.dtype(dtype)), shape), attrs)


def lazy(
    dims: tuple[str, ...],
    shape: tuple[int, ...],
    dtype: Any,
    read: Callable[[tuple[int | slice, ...]], NDArray[Any]],
    **attrs: Any,
) -> xr.Variable:
    """A variable whose values are read when a region of it is asked for.

    Parameters
    ----------
    read : called with an index of integers and slices, one for each dim; returns that part of the array.
    """
    return xr.Variable(dims, indexing.LazilyIndexedArray(_Lazy(shape, np.dtype(dtype), read)), attrs)


class _Lazy(BackendArray):
    """An array of xarray's that is read by a function."""

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], read: Callable[[tuple[int | slice, ...]], NDArray[Any]]
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self._read = read

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)


def located(dataset: xr.Dataset, region: Region, device: torch.device | str = "cpu") -> xr.Dataset:
    """The block of a dataset in a region, which says where it lies in the whole and on which device it is worked on."""
    sizes = {str(dim): n for dim, n in dataset.sizes.items()}
    inside = {dim: part for dim, part in region.items() if dim in dataset.dims}
    origin = {dim: part.indices(sizes[dim])[0] for dim, part in inside.items()}
    return dataset.isel(inside).assign_attrs({ORIGIN: origin, WHOLE: sizes, DEVICE: str(device)})


def device_of(dataset: xr.Dataset) -> torch.device:
    """The device on which the parts of this dataset's block are to be made."""
    return torch.device(dataset.attrs.get(DEVICE, "cpu"))


def tensor(dataset: xr.Dataset, name: str, dims: tuple[str, ...] | None = None) -> Tensor:
    """Read a variable as a tensor on the device of the dataset's block.

    Parameters
    ----------
    dims : the order of dims that is wanted; the variable must have exactly these.

    Raises
    ------
    DataError : the variable is missing or has other dims.
    """
    variable = require(dataset, name, dims)
    try:
        values = values_of(variable, dims or variable.dims)
    except (OSError, ValueError) as error:  # such as a checksum that does not fit
        raise RunError(f"the values of {name!r} could not be read, the file is damaged or gone: {error}") from error
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    values = np.ascontiguousarray(values)
    if not values.flags.writeable:
        values = values.copy()
    return torch.from_numpy(values).to(device_of(dataset))


def values_of(variable: xr.Variable | xr.DataArray, dims: tuple[Hashable, ...]) -> NDArray[Any]:
    """The values with dims in this order."""
    # Read before it is transposed: a lazy variable would be read element by element, at ten times the time and memory.
    return np.asarray(variable.values).transpose([variable.dims.index(dim) for dim in dims])


def variable(values: Tensor, dims: tuple[str, ...], **attrs: Any) -> xr.Variable:
    """A tensor as a variable of a dataset; the inverse of `tensor`."""
    return xr.Variable(dims, values.detach().resolve_conj().cpu().numpy(), attrs)


def require(dataset: xr.Dataset, name: str, dims: tuple[str, ...] | None = None, who: str = "") -> xr.Variable:
    """Return a variable of the dataset.

    Parameters
    ----------
    dims : dims that it must have, in any order.
    who : named in the error as the one who needs it.

    Raises
    ------
    DataError : the variable is missing or has other dims.
    """
    needs = f"{who} needs" if who else "there must be"
    if name not in dataset.variables:
        has = ", ".join(map(str, dataset.data_vars)) or "no variable"
        raise DataError(f"{needs} a variable {name!r}: the dataset has {has}")
    found = dataset[name].variable
    if dims is not None and set(found.dims) != set(dims):
        has = ", ".join(map(str, found.dims)) or "none"
        raise DataError(f"{needs} {name!r} with dims {', '.join(dims) or 'none'}: it has {has}")
    return found


def is_small(dataset: xr.Dataset, name: str) -> bool:
    """Whether a variable may be read while a run is planned."""
    return name in dataset.variables and bool(dataset[name].attrs.get("small", False))


def check_requirements(dataset: xr.Dataset, requires: Mapping[str, tuple[str, ...]], who: str) -> None:
    """Check that the variables are there and have at least these dims.

    Raises
    ------
    DataError : the first that is missing or lacks a dim.
    """
    for name, dims in requires.items():
        found = require(dataset, name, who=who)
        missing = [dim for dim in dims if dim not in found.dims]
        if missing:
            has = ", ".join(map(str, found.dims))
            raise DataError(f"{who} needs {name!r} with the dim {missing[0]!r}: it has {has}")


def torch_dtype(dataset: xr.Dataset, name: str) -> torch.dtype:
    """The torch dtype of a variable, from its header."""
    return torch.from_numpy(np.zeros((), dataset[name].dtype)).dtype
