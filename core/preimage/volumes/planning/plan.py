"""The plan: stages, blocks and layouts, made once from headers and kept in the record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Bounds = tuple[int, int]
"""Start and stop along a dim."""
Region = Mapping[str, Bounds]
"""A part of the data along some dims; all of the others."""
Margins = Mapping[str, tuple[int, int]]
"""How far something looks beyond a region along some dims, towards 0 and away from it."""
Steps = tuple[int, int]
"""Steps of a chain that are done together, as a half-open range: its preparations in order, then the solve."""


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
    bytes_read, bytes_written : by all tasks, not compressed: in whole chunks, and again where a halo is read
        again, for the numbers of the run, in every round that there may be, and to fit.
    halo, solve_halo : how far beyond its block the stage reads along a dim, and how far the solve alone looks.
    overlap : how far priors look beyond a block, along dims where blocks share pixels and agree on them.
    device_memory : bytes that a block is predicted to need on an accelerator.
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
    halo: Mapping[str, int] = field(default_factory=dict)
    solve_halo: Mapping[str, int] = field(default_factory=dict)
    overlap: Margins = field(default_factory=dict)
    device_memory: int = 0

    @property
    def steps(self) -> Steps:
        """What of the chain it does."""
        return self.first, self.last + self.solves

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of blocks along each dim that is cut."""
        return tuple(math.ceil(n / self.block[dim]) for dim, n in self.sizes.items())

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return math.prod(self.grid)

    def regions(self) -> Iterator[dict[str, Bounds]]:
        """The part of every block along the dims that are cut, in order."""
        return (self.region(index) for index in range(self.n_blocks))

    def region(self, index: int) -> dict[str, Bounds]:
        """The part of one block; the last dim is counted fastest."""
        found = {}
        for dim, count in zip(reversed(list(self.sizes)), reversed(self.grid), strict=True):
            index, at = divmod(index, count)
            found[dim] = self._part(dim, at)
        return dict(reversed(found.items()))

    def _part(self, dim: str, at: int) -> Bounds:
        """What of a dim the blocks at one place along it have."""
        return at * self.block[dim], min((at + 1) * self.block[dim], self.sizes[dim])

    @property
    def largest(self) -> int:
        """The block that needs most: where blocks look beyond themselves, one that has others on both sides."""
        index = 0
        for dim, count in zip(self.sizes, self.grid, strict=True):
            lengths = [stop - start for start, stop in (self._seen(dim, at) for at in range(count))]
            index = index * count + lengths.index(max(lengths))
        return index

    @property
    def read_spans(self) -> dict[str, list[Bounds]]:
        """What is read along every dim that is cut, once for each place of blocks along it."""
        parts = {dim: [self._part(dim, at) for at in range(n)] for dim, n in zip(self.sizes, self.grid, strict=True)}
        return {dim: [self.widened({dim: one}, self.halo)[dim] for one in found] for dim, found in parts.items()}

    def _seen(self, dim: str, at: int) -> Bounds:
        """What of a dim the blocks at one place along it look at."""
        halo, (before, after) = self.halo.get(dim, 0), self.overlap.get(dim, (0, 0))
        return self._grown({dim: self._part(dim, at)}, {dim: (halo + before, halo + after)})[dim]

    def widened(self, region: Region, reach: Mapping[str, int]) -> dict[str, Bounds]:
        """A region with as much on both sides along some dims, up to the edges of the data."""
        return self._grown(region, {dim: (n, n) for dim, n in reach.items()})

    def overlapping(self, region: Region) -> dict[str, Bounds]:
        """All that a block looks at: its own region, and what it shares with others."""
        return self._grown(region, self.overlap)

    def _grown(self, region: Region, margins: Margins) -> dict[str, Bounds]:
        grown = {}
        for dim, (start, stop) in region.items():
            before, after = margins.get(dim, (0, 0))
            grown[dim] = (max(0, start - before), min(self.sizes[dim], stop + after))
        return grown


@dataclass(frozen=True)
class Plan:
    """What a run does, a function of the data's headers, the chain, the memory and the threads alone.

    Attributes
    ----------
    scalars : names of the numbers that are reduced over the run first.
    normalise : whether the data are divided by the run's scale.
    memory : bytes that a worker may use.
    process : bytes of them that its process takes before it has read anything.
    notes : what a reader of the plan should know, such as proposed preparations.
    device_memory : bytes that a worker may use of an accelerator; 0 where there is none, or it is not known.
    """

    stages: tuple[StagePlan, ...]
    scalars: tuple[str, ...]
    normalise: bool
    memory: int
    threads: int
    process: int
    notes: tuple[str, ...]
    device_memory: int = 0

    @property
    def solve(self) -> StagePlan:
        """The last stage."""
        return self.stages[-1]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Plan:
        """The plan in the record of a run."""
        return cls.from_json(record["plan"])

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """From plain data."""
        stages = tuple(
            StagePlan(
                **{
                    **stage,
                    "labels": tuple(stage["labels"]),
                    "outputs": {name: _array_plan(array) for name, array in stage["outputs"].items()},
                    "overlap": {dim: tuple(margin) for dim, margin in stage.get("overlap", {}).items()},
                }
            )
            for stage in data["stages"]
        )
        data = {"process": 0, **data}  # a plan of schema 1 from before it was kept
        return cls(**{**data, "stages": stages, "scalars": tuple(data["scalars"]), "notes": tuple(data["notes"])})


def _array_plan(data: Mapping[str, Any]) -> ArrayPlan:
    lists = {name: None if data[name] is None else tuple(data[name]) for name in ("dims", "shape", "chunks", "shards")}
    return ArrayPlan(**{**data, **lists})


def slices(region: Region, dims: Any) -> dict[str, slice]:
    """A region as slices, of those dims that are there."""
    return {dim: slice(*bounds) for dim, bounds in region.items() if dim in dims}


def within(region: Region, inner: Region, dims: Any = None) -> dict[str, slice]:
    """Where a smaller region lies in a region, along the dims in which they differ; of those dims that are there."""
    return {
        dim: slice(inner[dim][0] - start, inner[dim][1] - start)
        for dim, (start, stop) in region.items()
        if inner[dim] != (start, stop) and (dims is None or dim in dims)
    }
