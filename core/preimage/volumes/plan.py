"""The plan: stages, blocks and layouts, made once from headers and kept in the record."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

Bounds = tuple[int, int]


@dataclass(frozen=True)
class ArrayPlan:
    """How one array is stored.

    Attributes
    ----------
    chunks : what is read at once.
    shards : what is written at once, where that is more than a chunk.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None

    @property
    def write_unit(self) -> tuple[int, ...]:
        """The smallest part that one writer may write."""
        return self.shards or self.chunks


@dataclass(frozen=True)
class StagePlan:
    """A run of preparations, or the solve with the preparations right before it, over one set of blocks.

    Attributes
    ----------
    first, last : the elements of the resolved chain in this stage, as a half-open range.
    solves : whether the stage ends with the solve.
    labels : names of what it does, in order.
    sizes : length of every dim that is cut.
    block : length of a block along each of them.
    outputs : arrays that it writes.
    memory : bytes that a block is predicted to need beside the process.
    bytes_read, bytes_written : over all blocks.
    """

    first: int
    last: int
    solves: bool
    labels: tuple[str, ...]
    sizes: Mapping[str, int]
    block: Mapping[str, int]
    outputs: Mapping[str, ArrayPlan]
    memory: int
    bytes_read: int
    bytes_written: int

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return math.prod(math.ceil(n / self.block[dim]) for dim, n in self.sizes.items())

    def regions(self) -> Iterator[dict[str, Bounds]]:
        """The part of every block along the dims that are cut, in order."""
        cuts = [
            [(dim, (start, min(start + self.block[dim], n))) for start in range(0, n, self.block[dim])]
            for dim, n in self.sizes.items()
        ]
        return (dict(cut) for cut in itertools.product(*cuts))

    def region(self, index: int) -> dict[str, Bounds]:
        """The part of one block."""
        return next(itertools.islice(self.regions(), index, None))


@dataclass(frozen=True)
class Plan:
    """What a run does, a function of the data's headers, the chain, the memory and the threads alone.

    Attributes
    ----------
    scalars : names of the numbers that are reduced over the run first.
    normalise : whether the data are divided by the run's scale.
    notes : what a reader of the plan should know, such as proposed preparations.
    """

    stages: tuple[StagePlan, ...]
    scalars: tuple[str, ...]
    normalise: bool
    memory: int
    threads: int
    notes: tuple[str, ...]

    @property
    def solve(self) -> StagePlan:
        """The last stage."""
        return self.stages[-1]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """From plain data."""
        stages = tuple(
            StagePlan(
                **{
                    **stage,
                    "labels": tuple(stage["labels"]),
                    "outputs": {name: _array_plan(array) for name, array in stage["outputs"].items()},
                }
            )
            for stage in data["stages"]
        )
        return cls(**{**data, "stages": stages, "scalars": tuple(data["scalars"]), "notes": tuple(data["notes"])})


def _array_plan(data: Mapping[str, Any]) -> ArrayPlan:
    lists = {name: None if data[name] is None else tuple(data[name]) for name in ("dims", "shape", "chunks", "shards")}
    return ArrayPlan(**{**data, **lists})


def slices(region: Mapping[str, Bounds], dims: Any) -> dict[str, slice]:
    """A region as slices, of those dims that are there."""
    return {dim: slice(*bounds) for dim, bounds in region.items() if dim in dims}
