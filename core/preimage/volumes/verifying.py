"""Whether what finished blocks stored is still there. A marker says that it was; only the store says that it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from preimage.volumes import stores
from preimage.volumes.markers import Beside
from preimage.volumes.planning.plan import Plan, StagePlan, slices
from preimage.volumes.tasks.block import digest
from preimage.volumes.tasks.observing import HISTORY, HISTORY_DIMS, history_region
from preimage.volumes.tasks.task import Facts


def lost_blocks(output: Path, plan: Plan, verify: bool) -> Iterator[tuple[int, int, str]]:
    """Finished blocks whose results are not there any more: stage, block, and why.

    Stores that were cleared, since nobody needs them any more, are not looked for.

    Parameters
    ----------
    verify : read every block and compare digests; else look for objects, and at their sizes.
    """
    beside = Beside(output)
    for index, stage in enumerate(plan.stages):
        store = output if stage.solves else beside.scratch(index)
        if store.exists():
            for block in beside.done(index):
                facts = beside.read(index, block)
                why = _damage(store, stage, block, facts, verify) if facts else "its marker is damaged"
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
