"""Applying a preparation to a block that knows where in the whole it lies."""

from __future__ import annotations

import xarray as xr

from preimage.data import DEVICE, ORIGIN, WHOLE
from preimage.volumes.planning.plan import Region, slices, within
from preimage.volumes.resolve import Element


def apply(element: Element, dataset: xr.Dataset, fitted: xr.Dataset, region: Region) -> xr.Dataset:
    """A block after one preparation."""
    ours = {name: dataset.attrs[name] for name in (ORIGIN, WHOLE, DEVICE)}
    ours[WHOLE] = {**ours[WHOLE], **{str(dim): n for dim, n in element.after.sizes.items()}}
    after = element.preparation.apply(dataset, fitted.isel(slices(region, fitted.dims)))
    return after.assign_attrs(ours)


def cropped(dataset: xr.Dataset, region: Region, inner: Region) -> xr.Dataset:
    """The part of a block's dataset that is in a smaller region."""
    if region == inner:
        return dataset
    origin = dataset.attrs[ORIGIN] | {dim: start for dim, (start, _) in inner.items()}
    return dataset.isel(within(region, inner, dataset.dims)).assign_attrs({ORIGIN: origin})
