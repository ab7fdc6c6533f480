"""Whether two runs gave the same, bit for bit."""

from __future__ import annotations

import zarr

from preimage.volumes.markers import Beside
from preimage.volumes.planning.plan import Plan
from preimage.volumes.stores import read_attributes


def values(output):
    """The bytes of every array of a run that is a result."""
    group = zarr.open_group(output, mode="r", use_consolidated=False)
    return {name: array[...].tobytes() for name, array in group.arrays()}


def digests(output):
    """The digests of all blocks of the solve, as their markers have them."""
    plan = Plan.of(read_attributes(output))
    index = len(plan.stages) - 1
    return [Beside(output).read(index, block)["digests"] for block in range(plan.solve.n_blocks)]


def assert_bitwise_equal(output, expected):
    """Estimate, history and digests."""
    found, wanted = values(output), values(expected)
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert found[name] == wanted[name], f"{name} is not bitwise equal"
    assert digests(output) == digests(expected)


def marked(output):
    """When each marker was written, by stage and block."""
    folder = Beside(output).folder
    return {
        (int(path.parent.name), int(path.stem)): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in folder.glob("[0-9]*/[0-9]*.json")
    }


def computed(before, after):
    """The blocks that were computed between two looks at the markers."""
    return sorted(block for block, written in after.items() if before.get(block) != written)
