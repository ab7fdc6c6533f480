"""Loaders that obey the laws, and for each law one that does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from preimage.data import lazy
from preimage.hookspecs import hookimpl
from preimage.settings import Settings
from preimage.testing.calling import Method
from preimage.testing.examples import Examined

from .fake import Wrong, module

# --- right ------------------------------------------------------------------------------------------------------------


class FileSettings(Settings):
    """Where the data are."""

    path: Path
    """The file."""


class Raw:
    """k-space in a .npy file, of which regions are mapped."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def describe(self) -> xr.Dataset:
        array = np.load(self.path, mmap_mode="r")
        measurement = lazy(("coil", "kz", "ky"), array.shape, array.dtype, self.read, units="a.u.")
        mask = xr.Variable(("ky",), np.arange(array.shape[-1]) % 2 == 0, {"small": True})
        coords = {"kz": ("kz", np.arange(array.shape[1]) * 0.5, {"units": "1/mm"})}
        return xr.Dataset({"measurement": measurement, "mask": mask}, coords, {"voxel_size": [1.0, 2.0]})

    def read(self, index: tuple[int | slice, ...]) -> Any:
        return np.array(np.load(self.path, mmap_mode="r")[index])


ARRAY = np.random.default_rng(0).standard_normal((2, 5, 4)).astype(np.float32).view(np.float32) + np.complex64(1j)


def expected() -> xr.Dataset:
    """What the file is, written out."""
    return xr.Dataset(
        {
            "measurement": (("coil", "kz", "ky"), ARRAY, {"units": "a.u."}),
            "mask": (("ky",), np.array([True, False, True, False]), {"small": True}),
        },
        {"kz": ("kz", np.arange(5) * 0.5, {"units": "1/mm"})},
        {"voxel_size": [1.0, 2.0]},
    )


def loader(cls: type, **names: Any) -> Callable[[Path], Any]:
    """A method that reads the example's file."""

    def preimage_loader(settings: FileSettings) -> Raw:
        return cls(settings.path)

    @hookimpl
    def preimage_examples(folder: Path) -> list[tuple[FileSettings, xr.Dataset]]:
        np.save(folder / "raw.npy", ARRAY)
        return [(FileSettings(path=folder / "raw.npy"), expected())]

    names = {"Settings": FileSettings, "preimage_examples": preimage_examples} | names
    return lambda folder: Examined(Method("loader", module("loader", preimage_loader, None, **names)), folder)


class Mapped(Raw):
    """The same without a function to read: numpy maps the file."""

    def describe(self) -> xr.Dataset:
        dataset = super().describe()
        mapped = np.load(self.path, mmap_mode="r")
        return dataset.assign(measurement=xr.Variable(("coil", "kz", "ky"), mapped, {"units": "a.u."}))


RIGHT = [loader(Raw), loader(Mapped)]

# --- wrong ------------------------------------------------------------------------------------------------------------


class ReadsAtOnce(Raw):
    def describe(self) -> xr.Dataset:
        return super().describe().load()


class NoDataset(Raw):
    def describe(self) -> Any:
        return super().describe()["measurement"]


class OtherName(Raw):
    def describe(self) -> xr.Dataset:
        return super().describe().rename(measurement="kspace")


class NamelessDims(Raw):
    def describe(self) -> xr.Dataset:
        return super().describe().rename(coil="dim_0")


class WithoutUnits(Raw):
    def describe(self) -> xr.Dataset:
        dataset = super().describe()
        dataset["measurement"].attrs.clear()
        return dataset


class WithoutGeometry(Raw):
    def describe(self) -> xr.Dataset:
        return super().describe().drop_attrs(deep=False)


class SwappedDims(Raw):
    def describe(self) -> xr.Dataset:
        return super().describe().transpose("kz", "coil", "ky")


class OtherValues(Raw):
    def read(self, index: tuple[int | slice, ...]) -> Any:
        return super().read(index).conj()


class IgnoresTheStart(Raw):
    """Reads as many as are asked for, from the beginning."""

    def read(self, index: tuple[int | slice, ...]) -> Any:
        array = super().read(tuple(slice(None) for _ in index))
        lengths = [
            np.empty(n)[i].size if isinstance(i, slice) else None for i, n in zip(index, array.shape, strict=True)
        ]
        return array[tuple(0 if n is None else slice(0, n) for n in lengths)]


class DescribesOnce(Raw):
    described = 0

    def describe(self) -> xr.Dataset:
        self.described += 1
        return super().describe().assign_attrs(visit=self.described)


WRONG: dict[str, list[Wrong]] = {
    "lazy": [
        Wrong(loader(ReadsAtOnce), "has read the values of 'measurement'"),
        Wrong(loader(NoDataset), "returns DataArray"),
    ],
    "conventions": [
        Wrong(loader(OtherName), "no 'measurement' and no 'truth'"),
        Wrong(loader(NamelessDims), "have no names"),
    ],
    "as_expected": [
        Wrong(loader(WithoutUnits), "has the attribute 'units' None against 'a.u.'"),
        Wrong(loader(WithoutGeometry), "has the attribute 'voxel_size' None"),
        Wrong(loader(SwappedDims), "'measurement' has dims"),
        Wrong(loader(OtherValues), "the values of 'measurement' differ by up to 2.00e"),
        Wrong(loader(OtherName), "the variables are"),
    ],
    "regions": [Wrong(loader(IgnoresTheStart), r"the region slice\(1, 2, None\) of 'coil'")],
    "repeatable": [Wrong(loader(DescribesOnce), "the attribute 'visit' 1 against 2")],
}
