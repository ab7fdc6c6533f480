"""A dataset stored as Zarr, read block by block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

import preimage
from preimage import hookimpl
from preimage.data import Loader
from preimage.errors import DataError
from preimage.volumes import stores
from preimage_mri.examples import ball, kspace_dataset

KNOWN = ("measurement", "truth")


class Settings(preimage.Settings):
    """Where the dataset is."""

    path: Path
    """A Zarr group, as `preimage.write_dataset` or xarray's `to_zarr` makes it."""


class ZarrDataset(Loader):
    """The dataset of a Zarr group."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def describe(self) -> xr.Dataset:
        """The dataset, opened lazily.

        Raises
        ------
        DataError : there is no Zarr group of named dims, it is of a newer schema, or has neither a
            measurement nor a truth.
        """
        if not self.path.exists():
            raise DataError(f"{self.path} is not there: write a dataset with preimage.write_dataset(dataset, path)")
        try:
            dataset = stores.open_dataset(self.path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.path} is no Zarr group of arrays with named dims: {error}") from None
        ours = dataset.attrs.pop(stores.ATTRIBUTE, {})
        if int(ours.get("schema", 0)) > stores.SCHEMA:
            raise DataError(
                f"{self.path} has schema {ours['schema']}, this version reads up to {stores.SCHEMA}: update preimage"
            )
        if not any(name in dataset.variables for name in KNOWN):
            has = ", ".join(map(str, dataset.variables)) or "no array"
            raise DataError(f"{self.path} has neither a 'measurement' nor a 'truth': it has {has}")
        return dataset


@hookimpl
def preimage_loader(settings: Settings) -> ZarrDataset:
    """Make the loader of one group."""
    return ZarrDataset(settings.path)


@hookimpl
def preimage_examples(folder: Path) -> Iterator[tuple[Settings, xr.Dataset]]:
    """Data with maps and a mask, and a truth with coordinates and geometry."""
    data = kspace_dataset({"coil": 2, "x": 3, "kz": 4, "ky": 5}, ["kz", "ky"], sensitivities=True)
    stores.write_dataset(data, folder / "data.zarr", chunks={"x": 1})
    yield Settings(path=folder / "data.zarr"), data

    image = ball({"z": 4, "y": 1})
    truth = xr.Dataset(
        {"truth": (("z", "y"), image)},
        coords={"z": ("z", np.arange(4) * 2.0, {"units": "mm"})},
        attrs={"voxel_size": {"z": 2.0, "y": 1.0}},
    )
    stores.write_dataset(truth, folder / "truth.zarr")
    yield Settings(path=folder / "truth.zarr"), truth
