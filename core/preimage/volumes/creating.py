"""Creating what a run writes: the driver alone does so, before any task."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zarr

from preimage.files import flush_folder
from preimage.run_settings import OutputSettings
from preimage.volumes import stores
from preimage.volumes.markers import Beside
from preimage.volumes.planning.plan import ArrayPlan, Plan
from preimage.volumes.resolve import Resolved
from preimage.volumes.tasks.observing import HISTORY, HISTORY_DIMS, QUANTITIES


def create_store(output: OutputSettings, plan: Plan, resolved: Resolved, record: Mapping[str, Any]) -> None:
    """Create the store of a run and all its arrays, in place of what was there; its record is written last."""
    output.path.parent.mkdir(parents=True, exist_ok=True)
    geometry = {k: v for k, v in stores.plain(dict(resolved.dataset.attrs)).items() if k != stores.ATTRIBUTE}
    key = {stores.ATTRIBUTE: {"schema": stores.SCHEMA, "key": record["key"]}}  # without a plan: not complete yet
    group = stores.create_group(output.path, {**geometry, **key})
    for name, array in plan.solve.outputs.items():
        stores.create_array(group, name, array, compressed=True)
    _create_coordinates(output.path, group, plan, resolved)
    _create_history(group, plan, _history_rows(output.history, resolved.chain.make_solver().stop.max_iter))
    group.create_group("calibration")
    Beside(output.path).create(len(plan.stages))
    for index in range(len(plan.stages) - 1):
        create_scratch(output.path, plan, index)
    flush_folder(output.path)  # markers outlive a power cut: what they speak of must too
    stores.write_attributes(output.path, record)


def create_scratch(output: Path, plan: Plan, stage: int) -> None:
    """Create what a stage hands to the next: all of its arrays, or nothing."""
    path = Beside(output).scratch(stage)
    whole = path.with_name(f"{stage}.new")  # renamed when it is whole
    ours = {stores.ATTRIBUTE: {"schema": stores.SCHEMA}}  # read once all of it is written
    scratch = stores.create_group(whole, ours)
    for name, array in plan.stages[stage].outputs.items():
        stores.create_array(scratch, name, array, compressed=False)
    flush_folder(whole)
    whole.rename(path)


def sweep(output: Path) -> None:
    """Remove what was half written or half removed when its process was killed."""
    beside, calibration = Beside(output).folder, output / "calibration"
    for path in (*beside.rglob(".*"), *beside.rglob("*.partial"), *output.rglob("*.partial"), *calibration.glob(".*")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):  # as of a disk on the network that keeps what others have open
                path.unlink()


def _create_coordinates(output: Path, group: zarr.Group, plan: Plan, resolved: Resolved) -> None:
    """Coordinates of the unknowns' dims, with their units, as the dataset has them."""
    for dim in dict.fromkeys(dim for array in plan.solve.outputs.values() for dim in array.dims):
        if dim in resolved.dataset.coords:
            found = resolved.dataset.coords[dim].variable
            array = ArrayPlan((dim,), tuple(found.shape), str(found.dtype), tuple(found.shape))
            stores.create_array(group, dim, array, compressed=True, **stores.plain(dict(found.attrs)))
            stores.open_for_writing(output, dim)[...] = found.values


def _create_history(group: zarr.Group, plan: Plan, rows: list[int]) -> None:
    shape = (plan.solve.n_blocks, len(rows), len(QUANTITIES))
    layout = ArrayPlan(HISTORY_DIMS, shape, "float64", (1, *shape[1:]))
    attributes = {"quantities": list(QUANTITIES), "iterations": rows, "of_scaled_data": plan.normalise}
    stores.create_array(group, HISTORY, layout, compressed=True, **attributes)


def _history_rows(every: int, last: int) -> list[int]:
    """Iterations at which the history has a row; the last row is that of the last iteration."""
    return [*range(every, last, every), last]
