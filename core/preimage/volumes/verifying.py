"""Whether what finished blocks stored is still there. A marker says that it was; only the store says that it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from preimage.volumes import stores
from preimage.volumes.markers import Beside
from preimage.volumes.planning.plan import Plan, StagePlan, slices
from preimage.volumes.tasks.block import digest
from preimage.volumes.tasks.observing import HISTORY, HISTORY_DIMS, history_region
from preimage.volumes.tasks.task import Facts


def lost_blocks(output: Path, record: Mapping[str, Any], verify: bool) -> Iterator[tuple[int, int, str]]:
    """Blocks that are said to be done and whose results are not there: stage, block, and why.

    Markers say which are done, and a finished run says it of every block of its solve. What its stages handed to each
    other was cleared, and is not looked for.

    Parameters
    ----------
    record : of the run.
    verify : read every block and compare digests; else look for objects, and at their sizes.
    """
    beside, finished = Beside(output), bool(record.get("finished"))
    for index, stage in enumerate(Plan.of(record).stages):
        store = output if stage.solves else beside.scratch(index)
        if store.exists() and (stage.solves or not finished):
            marked = beside.done(index)
            for block in range(stage.n_blocks) if finished else marked:
                facts = beside.read(index, block)
                if facts:
                    why = _damage(store, stage, block, facts, verify)
                else:
                    why = "its marker is damaged" if block in marked else "its marker is gone"
                if why:
                    yield index, block, why


def _damage(store: Path, stage: StagePlan, block: int, facts: Facts, verify: bool) -> str:
    for name, objects in facts["objects"].items():
        for key, size in objects.items():
            found = stores.size_of(store, name, key)
            if found != size:
                return f"{name}/{key} " + ("is gone" if found < 0 else f"has {found} bytes, not {size}")
    return _difference(store, stage, block, facts) if verify else ""


def _difference(store: Path, stage: StagePlan, block: int, facts: Facts) -> str:
    for name, expected in facts["digests"].items():
        dims = HISTORY_DIMS if name == HISTORY else stage.outputs[name].dims
        here = slices(history_region(block) if name == HISTORY else stage.region(block), dims)
        array = stores.open_for_writing(store, name)
        try:
            values = np.asarray(array[tuple(here.get(dim, slice(None)) for dim in dims)])
        except (OSError, ValueError, RuntimeError) as error:  # the checksum of a chunk does not fit
            return f"{name} cannot be read: {error}"
        if digest(values) != expected:
            return f"{name} has other values"
    return ""
