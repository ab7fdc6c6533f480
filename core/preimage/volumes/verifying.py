"""Whether what finished blocks and fits stored is still there. A marker says that it was; only the store says it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from preimage.volumes import stores
from preimage.volumes.markers import Beside, Stage
from preimage.volumes.planning.plan import Plan, StagePlan, slices
from preimage.volumes.tasks.block import digest
from preimage.volumes.tasks.observing import HISTORY, HISTORY_DIMS, history_region
from preimage.volumes.tasks.task import Facts

Index = tuple[Any, ...]


@dataclass(frozen=True)
class _Results:
    """What the markers of a stage, or those of the fits, speak of.

    Attributes
    ----------
    count : how many there are once all are done.
    store : the store of one.
    part : the part of an array that is of one.
    """

    stage: Stage
    count: int
    store: Callable[[int], Path]
    part: Callable[[int, str], Index]


def lost(output: Path, record: Mapping[str, Any], verify: bool) -> Iterator[tuple[Stage, int, str]]:
    """Blocks and fits that are said to be done and whose results are not there, and why.

    Markers say which are done, and a finished run says it of every fit and of every block of its solve. What its
    stages handed to each other was cleared, and is not looked for. Where a finished run has no folder of markers any
    more, such as a store that was copied alone, there is nothing to look for either, and nothing is said to be lost.

    Parameters
    ----------
    record : of the run.
    verify : read what they stored and compare digests; else look for objects, and at their sizes.
    """
    beside, finished = Beside(output, record["run"]), bool(record.get("finished"))
    if finished and not beside.folder.exists():
        return
    for results in _results(output, Plan.of(record), finished):
        marked = beside.done(results.stage)
        for index in range(results.count) if finished else marked:
            if facts := beside.read(results.stage, index):
                why = _damage(results.store(index), facts, partial(results.part, index), verify)
            else:
                why = "its marker is damaged, or of another run" if index in marked else "its marker is gone"
            if why:
                yield results.stage, index, why


def described(store: Path) -> Facts:
    """What a marker says of a whole store: the digests of all arrays, and the bytes of their objects."""
    arrays = dict(zarr.open_group(store, mode="r", use_consolidated=False).arrays())
    return {
        "digests": {name: _digest(array[...]) for name, array in arrays.items()},
        "objects": {name: stores.object_sizes(store, array, name) for name, array in arrays.items()},
    }


def _results(output: Path, plan: Plan, finished: bool) -> Iterator[_Results]:
    yield _Results("fits", plan.solve.last, partial(stores.calibration, output), lambda index, name: (...,))
    for number, stage in enumerate(plan.stages):
        store = output if stage.solves else Beside(output).scratch(number)
        if store.exists() and (stage.solves or not finished):
            yield _Results(number, stage.n_blocks, lambda index, store=store: store, partial(_part, stage))  # type: ignore[misc]


def _part(stage: StagePlan, block: int, name: str) -> Index:
    dims = HISTORY_DIMS if name == HISTORY else stage.outputs[name].dims
    here = slices(history_region(block) if name == HISTORY else stage.region(block), dims)
    return tuple(here.get(dim, slice(None)) for dim in dims)


def _damage(store: Path, facts: Facts, part: Callable[[str], Index], verify: bool) -> str:
    for name, objects in facts["objects"].items():
        for key, size in objects.items():
            found = stores.size_of(store, name, key)
            if found != size:
                return f"{name}/{key} " + ("is gone" if found < 0 else f"has {found} bytes, not {size}")
    return _difference(store, facts, part) if verify else ""


def _difference(store: Path, facts: Facts, part: Callable[[str], Index]) -> str:
    for name, expected in facts["digests"].items():
        array = stores.open_for_writing(store, name)
        try:
            values = array[part(name)]
        except (OSError, ValueError, RuntimeError) as error:  # the checksum of a chunk does not fit
            return f"{name} cannot be read: {error}"
        if _digest(values) != expected:
            return f"{name} has other values"
    return ""


def _digest(values: Any) -> str:
    """That of numbers is the one of their bytes; that of text is the one of its letters."""
    values = np.asarray(values)
    return digest(values if values.dtype.kind in "biufc" else np.frombuffer(repr(values.tolist()).encode(), np.uint8))
