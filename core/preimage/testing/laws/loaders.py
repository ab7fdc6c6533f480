"""Laws of loaders: headers until values are asked for, a region as it is in the whole, units and geometry."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from preimage.data import is_small
from preimage.testing.datasets import expect_same_attrs, expect_same_header, expect_same_values
from preimage.testing.examples import DatasetExample
from preimage.testing.law import LawBroken, Laws

LOADERS = Laws()


@LOADERS.each
def lazy(example: DatasetExample) -> None:
    """describe() reads headers: values stay in the file until a region of them is asked for."""
    dataset = example.part.describe()
    if not isinstance(dataset, xr.Dataset):
        raise LawBroken(f"describe() returns {type(dataset).__name__}, not an xarray.Dataset")
    for name in dataset.data_vars:
        if not is_small(dataset, str(name)) and _in_memory(dataset[name].variable):
            raise LawBroken(
                f"describe() has read the values of {name!r}: wrap the file with preimage.data.lazy, map it, or mark a "
                "variable that is small with attrs['small'] = True"
            )


@LOADERS.each
def conventions(example: DatasetExample) -> None:
    """There is a measurement or a truth, and dims have names."""
    dataset = example.part.describe()
    if not {"measurement", "truth"} & set(dataset.variables):
        raise LawBroken(f"there is no 'measurement' and no 'truth' among {', '.join(map(str, dataset.variables))}")
    unnamed = [dim for dim in dataset.dims if not isinstance(dim, str) or dim.startswith("dim_")]
    if unnamed:
        raise LawBroken(f"the dims {unnamed} have no names of the physics, such as coil, kz, ky")


@LOADERS.each
def as_expected(example: DatasetExample) -> None:
    """Variables, dims, shapes, dtypes, coordinates, units, geometry and values are those of the example."""
    expected, found = example.given, example.part.describe()
    expect_same_header(found, expected, "the loader's dataset against the example's")
    expect_same_values(found, expected, "the loader's dataset against the example's")


@LOADERS.each
def regions(example: DatasetExample) -> None:
    """A region that is read is that region of the whole."""
    whole = example.part.describe().load()
    for dim, n in whole.sizes.items():
        for region in (slice(0, 1), slice(n // 2, n), slice(0, n, 2), n - 1):
            found = example.part.describe().isel({dim: region})
            message = f"the region {region} of {dim!r}, read, against the same of the whole"
            expect_same_values(found, whole.isel({dim: region}), message)


@LOADERS.each
def repeatable(example: DatasetExample) -> None:
    """Describing twice gives the same."""
    loader = example.part
    first, second = loader.describe(), loader.describe()
    expect_same_header(first, second, "a first description against a second")
    expect_same_attrs(first.attrs, second.attrs, "a first description against a second")
    expect_same_values(first, second, "a first description against a second")


def _in_memory(variable: xr.Variable) -> bool:
    """Whether the values are an array of numpy's that is neither mapped from a file nor one number spread out."""
    data: Any = variable._data  # xarray has no public way of asking that does not read them
    if not isinstance(data, np.ndarray):
        return bool(variable._in_memory)
    base: Any = data
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return False
        base = base.base
    return data.size > 1 and any(data.strides)
