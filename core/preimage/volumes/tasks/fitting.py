"""Fitting a preparation, once a run, to the region that it reads, after what comes before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from preimage.data import Preparation, Region, located
from preimage.files import claiming
from preimage.volumes import stores
from preimage.volumes.planning.axes import split_dims
from preimage.volumes.planning.plan import Bounds, slices
from preimage.volumes.tasks.preparing import apply
from preimage.volumes.tasks.task import Facts
from preimage.volumes.verifying import described

if TYPE_CHECKING:
    from preimage.volumes.tasks.worker import Worker


def fit(worker: Worker, stage: int, index: int) -> Facts:
    """Fit a preparation and store what it found; nothing where it finds nothing, as most do not.

    Where several attempts are at it, all go on with the result that is there first.

    Returns
    -------
    digests, objects : of what is stored.
    """
    fitted = fitted_now(worker, stage, index)
    if not fitted.variables:
        return {"digests": {}, "objects": {}}
    path = stores.calibration(worker.output, index)
    with claiming(path) as writing:
        stores.write_dataset(fitted, writing)
        worker.check_ours()
    return described(path)


def fitted_now(worker: Worker, stage: int, index: int) -> xr.Dataset:
    """What a preparation finds: nothing, without a look at the data, where it has no `fit` of its own."""
    preparation = worker.resolved.elements[index].preparation
    if type(preparation).fit is Preparation.fit:
        return xr.Dataset()
    return preparation.fit(_read(worker, stage, index))


def _read(worker: Worker, stage: int, index: int) -> xr.Dataset:
    """The region that a preparation reads, after those before it in its stage.

    Along dims that all of these split, only the region is read; along others all of it.
    """
    plan = worker.plan.stages[stage]
    element = worker.resolved.elements[index]
    region = _bounds(element.preparation.reads(element.before), element.before)
    earlier = worker.resolved.elements[plan.first : index]
    free = set(region)
    for before in earlier:
        free &= {dim for dim in free if dim not in before.axes} | set(split_dims(before.axes))
    source = worker.stage_input(stage)
    read = {dim: bounds for dim, bounds in region.items() if dim in free and dim in source.dims}
    dataset = located(source, slices(read, source.dims), worker.device)
    for offset, before in enumerate(earlier):
        dataset = apply(before, dataset, worker.fitted(plan.first + offset), read)
    rest = {dim: slice(*bounds) for dim, bounds in region.items() if dim not in read and dim in dataset.dims}
    return dataset.isel(rest)


def _bounds(region: Region, dataset: xr.Dataset) -> dict[str, Bounds]:
    return {dim: part.indices(dataset.sizes[dim])[:2] for dim, part in region.items()}
