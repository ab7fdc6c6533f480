"""What is exported: a variable of a store, read region by region."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from preimage.errors import RequestError, RunError
from preimage.export.geometry import Axis, affine_of, axis_of
from preimage.volumes import stores

Array = NDArray[Any]
Region = tuple[slice, ...]

ONE_AT_A_TIME = {"async.concurrency": 1}
"""A setting of zarr: one chunk is decoded or encoded at a time; by default ten are in memory."""


@dataclass
class Source:
    """A variable of a store.

    Attributes
    ----------
    stored : as it is stored.
    attributes : of the store, with its geometry.
    at : the index along dims that are not exported.
    n_broken : number of the voxels read so far that are not finite.
    """

    stored: xr.DataArray
    attributes: Mapping[str, Any]
    at: Mapping[str, int]
    n_broken: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        """The variable's name."""
        return str(self.stored.name)

    @property
    def sizes(self) -> dict[str, int]:
        """Length of every dim that is exported."""
        return {str(dim): n for dim, n in self.stored.sizes.items() if dim not in self.at}

    @property
    def chunks(self) -> dict[str, int]:
        """Length of a stored chunk along every dim."""
        found = self.stored.encoding.get("chunks") or self.stored.shape
        return dict(zip(map(str, self.stored.dims), found, strict=True))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is read: single precision."""
        return np.dtype(np.complex64 if self.stored.dtype.kind == "c" else np.float32)

    def axis(self, dim: str) -> Axis:
        """Where the voxels lie along a dim."""
        return axis_of(dim, self.stored, self.attributes)

    def affine(self, dims: Sequence[str]) -> NDArray[np.float64]:
        """From indices along these dims to places in mm."""
        return affine_of(dims, self.stored, self.attributes, self.at)

    def read(self, dims: Sequence[str], region: Region) -> Array:
        """The voxels of a region, in the order of `dims`.

        Raises
        ------
        RunError : they cannot be read.
        """
        here = {**self.at, **dict(zip(dims, region, strict=True))}
        try:
            with zarr.config.set(ONE_AT_A_TIME):
                values = self.stored.isel(here).values.astype(self.dtype, copy=False)
        except (OSError, ValueError) as error:  # such as a checksum that does not fit
            raise RunError(
                f"the values of {self.name!r} could not be read, the file is damaged or gone: {error}"
            ) from error
        self.n_broken += values.size - int(np.count_nonzero(np.isfinite(values)))
        # Here and not before, where xarray would make an index of every voxel.
        return values.transpose([[*self.sizes].index(dim) for dim in dims])


def open_source(store: Path, variable: str, at: Mapping[str, int]) -> Source:
    """A variable of a store.

    Raises
    ------
    RequestError : there is no such store, variable, dim or index, or the run is not finished.
    """
    if not store.exists():
        raise RequestError(f"{store} does not exist: name the store of a run, or a dataset")
    try:
        dataset = stores.open_dataset(store)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{store} is no Zarr group of arrays with named dims: {error}") from None
    record = dataset.attrs.get(stores.ATTRIBUTE, {})
    if "key" in record and not record.get("finished"):
        raise RequestError(
            f"{store} is not finished: `preimage status {store}` says how far it is, "
            "and the command that began it goes on"
        )
    if variable not in dataset.variables:
        has = ", ".join(map(str, dataset.data_vars)) or "nothing"
        raise RequestError(f"{store} has no variable {variable!r}: choose another by --variable, it has {has}")
    found = dataset[variable]
    if found.dtype.kind not in "biufc" or not found.size:
        raise RequestError(f"{variable} of {store} holds {found.size} values of {found.dtype}: it is no image")
    _check_indices(found, at)
    return Source(found, dataset.attrs, at)


def _check_indices(found: xr.DataArray, at: Mapping[str, int]) -> None:
    for dim, index in at.items():
        if dim not in found.dims:
            raise RequestError(f"--at {dim}={index}: {found.name} has the dims {', '.join(map(str, found.dims))}")
        if not 0 <= index < found.sizes[dim]:
            raise RequestError(f"--at {dim}={index}: {dim} goes from 0 to {found.sizes[dim] - 1}")


def regions(shape: Sequence[int], block: Sequence[int]) -> Iterator[Region]:
    """An array cut into blocks, in order."""
    cuts = [[slice(i, min(i + n, size)) for i in range(0, size, n)] for size, n in zip(shape, block, strict=True)]
    return itertools.product(*cuts)
