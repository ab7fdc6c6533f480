"""Data that cannot be negative, looked at where they are known."""

from __future__ import annotations

import xarray as xr

from preimage.chain import read_mask
from preimage.data import ORIGIN, require, tensor
from preimage.errors import DataError


def refuse_negative(dataset: xr.Dataset, who: str, what: str, cure: str) -> None:
    """Look at the measurement of a block, if it has one; what was not measured, outside `mask`, may be anything.

    Parameters
    ----------
    who : named in the error as the one who needs it.
    what : what a value is, such as "a count".

    Raises
    ------
    DataError : it is complex, or has a negative value: the first, where in the whole it is, and the cure.
    """
    if "measurement" not in dataset.variables:
        return
    dims = tuple(map(str, require(dataset, "measurement").dims))
    values = tensor(dataset, "measurement")
    if values.is_complex():
        raise DataError(f"{who} needs a real 'measurement': it is {dataset['measurement'].dtype}")
    negative = values < 0
    if "mask" in dataset.variables and set(dataset["mask"].dims) <= set(dims):
        negative = negative & read_mask(dataset, "mask", dims)
    if bool(negative.any()):
        first = [int(i) for i in negative.nonzero()[0]]
        origin = dataset.attrs.get(ORIGIN, {})
        place = ", ".join(f"{dim} = {origin.get(dim, 0) + i}" for dim, i in zip(dims, first, strict=True))
        raise DataError(f"{who}: {what} is ≥ 0, and 'measurement' is {values[tuple(first)]:g} at {place}: {cure}")
