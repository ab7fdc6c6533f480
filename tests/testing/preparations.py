"""Preparations that obey the laws, and for each law one that does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from preimage.data import Preparation, Region, header
from preimage.declarations import halo, split, whole

from .fake import NoSettings, Wrong, method

# --- right ------------------------------------------------------------------------------------------------------------


class Centre(Preparation):
    """Divides every slice z by its mean over a centre, which is fitted once, and adds that as `level`."""

    def describe(self, dataset: xr.Dataset) -> xr.Dataset:
        nz = dataset.sizes["z"]
        return dataset.assign(level=header(("z",), (nz,), dataset["measurement"].dtype, units="a.u."))

    def reads(self, dataset: xr.Dataset) -> Region:
        return {"ky": slice(1, 3)}

    def fit(self, dataset: xr.Dataset) -> xr.Dataset:
        return xr.Dataset({"level": dataset["measurement"].mean("ky", keep_attrs=False)})

    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        level = fitted["level"].assign_attrs(units="a.u.")
        divided = dataset["measurement"] / level
        divided.attrs = dataset["measurement"].attrs
        return dataset.assign(measurement=divided, level=level)


class Neighbours(Preparation):
    """The mean of three neighbours along z."""

    def describe(self, dataset: xr.Dataset) -> xr.Dataset:
        return dataset

    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        measured = dataset["measurement"]
        wide = np.pad(measured.values, ((1, 1), (0, 0)))
        mean = (wide[:-2] + wide[1:-1] + wide[2:]) / np.array(3, wide.dtype)
        return dataset.assign(measurement=(measured.dims, mean, measured.attrs))


def scan() -> xr.Dataset:
    values = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    measurement = (("z", "ky"), values + 3, {"units": "a.u."})
    return xr.Dataset({"measurement": measurement, "spare": ("ky", np.arange(4.0, dtype=np.float32))}, attrs={"b": 1})


NAMES = {"requires": {"measurement": ("z", "ky")}, "provides": {"level": ("z",)}}


def preparation(cls: type, axis: Any = split, **names: Any) -> Callable[[Path], Any]:
    """A method that makes a preparation of the scan."""

    def preimage_preparation(settings: NoSettings, dataset: xr.Dataset) -> object:
        return cls()

    axes = {"preimage_axes": lambda: {"z": axis, "ky": whole}}
    return method("preparation", preimage_preparation, [(NoSettings(), scan())], **(NAMES | axes | names))


RIGHT = [preparation(Centre), preparation(Neighbours, halo(1), provides={})]

# --- wrong ------------------------------------------------------------------------------------------------------------


class ReadsInDescribe(Centre):
    def describe(self, dataset: xr.Dataset) -> xr.Dataset:
        level = dataset["measurement"].mean("ky")
        return dataset.assign(level=level)


class ReadsStrangeDims(Centre):
    def reads(self, dataset: xr.Dataset) -> Region:
        return {"kx": slice(0, 1)}


class DescribesNothing(Centre):
    def describe(self, dataset: xr.Dataset) -> Any:
        return None


class InDouble(Centre):
    """numpy makes double precision of single in silence."""

    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        prepared = super().apply(dataset, fitted)
        return prepared.assign(measurement=prepared["measurement"].astype(np.float64))


class LosesAttrs(Centre):
    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        return super().apply(dataset, fitted).drop_attrs()


class MoreThanDescribed(Centre):
    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        return super().apply(dataset, fitted).assign(extra=fitted["level"])


class FittedPerBlock(Centre):
    """Divides by the mean of what it is given, which is another number for every block."""

    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        prepared = super().apply(dataset, fitted)
        return prepared.assign(measurement=prepared["measurement"] / dataset["measurement"].mean())


class TwiceNeighbours(Neighbours):
    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        return super().apply(super().apply(dataset, fitted), fitted)


class Flattens(Centre):
    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        return super().apply(dataset, fitted).mean("z")


class ChangesItsDataset(Centre):
    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        prepared = super().apply(dataset, fitted)
        dataset["measurement"].values[...] = 0
        return prepared


class ChangesWhatWasFitted(Centre):
    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        prepared = super().apply(dataset, fitted)
        fitted["level"] = fitted["level"] * 2
        return prepared


class AddsNoise(Centre):
    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        return super().apply(dataset, fitted) * np.random.default_rng().uniform(1, 2)


WRONG: dict[str, list[Wrong]] = {
    "requires": [
        Wrong(preparation(Centre, requires={}), "no example can do without 'measurement'"),
        Wrong(preparation(Centre, requires={"kspace": ("z",)}), "which the dataset does not have"),
    ],
    "provides": [
        Wrong(preparation(Centre, provides={"mask": ("ky",)}), "a variable 'mask'"),
        Wrong(preparation(Centre, provides={"level": ("ky",)}), "with the dim 'ky'"),
    ],
    "headers_only": [
        Wrong(preparation(ReadsInDescribe), "reads the values of 'measurement'"),
        Wrong(preparation(ReadsStrangeDims), "no such dims"),
        Wrong(preparation(DescribesNothing), "describe returns NoneType"),
    ],
    "as_described": [
        Wrong(preparation(InDouble), "'measurement' has dtype float64 against float32"),
        Wrong(preparation(LosesAttrs), "has the attribute"),
        Wrong(preparation(MoreThanDescribed), "the variables are"),
    ],
    "blocks": [
        Wrong(preparation(FittedPerBlock), "which is declared split, alone and in the whole"),
        Wrong(preparation(TwiceNeighbours, halo(1)), r"which is declared halo\(1\)"),
        Wrong(preparation(Flattens), "has not one length before and after"),
    ],
    "purity": [
        Wrong(preparation(ChangesItsDataset), "changes its dataset"),
        Wrong(preparation(ChangesWhatWasFitted), "changes what was fitted"),
        Wrong(preparation(AddsNoise), "a second application"),
    ],
}
