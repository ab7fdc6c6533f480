"""What the tasks of a stage read: which variables, in which chunks, and how many bytes of them in all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from preimage.data import Preparation
from preimage.parts import Part
from preimage.volumes.planning.axes import split_dims
from preimage.volumes.planning.grouping import Group
from preimage.volumes.planning.plan import Bounds, StagePlan
from preimage.volumes.resolve import Element

Spans = Mapping[str, Sequence[Bounds]]
"""Along some dims, the parts that are read one after the other; blocks are all combinations of them."""


@dataclass(frozen=True)
class Stored:
    """A stored variable.

    Attributes
    ----------
    sizes, chunks : length of every dim, and how much of some is read at once.
    """

    sizes: Mapping[str, int]
    chunks: Mapping[str, int]
    itemsize: int

    @property
    def nbytes(self) -> int:
        """Of all of it."""
        return self.itemsize * math.prod(self.sizes.values())

    def bytes_of(self, spans: Spans) -> int:
        """Bytes that are read of it, in whole chunks; all of it for every block where it lacks a dim."""
        lengths = [self._read(dim, spans[dim]) if dim in spans else n for dim, n in self.sizes.items()]
        times = [len(parts) for dim, parts in spans.items() if dim not in self.sizes]
        return self.itemsize * math.prod((*lengths, *times))

    def _read(self, dim: str, parts: Sequence[Bounds]) -> int:
        chunk, n = self.chunks.get(dim, 1), self.sizes[dim]
        return sum(min(n, math.ceil(stop / chunk) * chunk) - start // chunk * chunk for start, stop in parts)


def stored(group: Group, earlier: Sequence[StagePlan] = (), *, priors: bool = True) -> list[Stored]:
    """The stored variables that the parts of a group read: those of the source, and what stages before it store.

    Parameters
    ----------
    earlier : the stages before it, as far as they are planned.
    priors : whether priors are made.
    """
    resolved = group.resolved
    parts: list[Part] = []
    if group.solves:
        chain = resolved.chain
        parts = [chain.operator, chain.likelihood, *(chain.priors if priors else ())]
    return _of(group, _needed(group.elements, parts), earlier)


def bytes_read(group: Group, stage: StagePlan, earlier: Sequence[StagePlan], *, numbers: bool) -> int:
    """Bytes that all tasks of a stage read: blocks with their halos, the numbers of the run, rounds and fits.

    Parameters
    ----------
    numbers : whether the run has numbers to reduce first, by a pass over all data.
    """
    spans = stage.read_spans
    all_blocks = sum(one.bytes_of(spans) for one in stored(group, earlier))
    total = all_blocks + sum(_fit_bytes(group, place, earlier) for place in range(len(group.elements)))
    if stage.solves and numbers:
        total += sum(one.bytes_of(spans) for one in stored(group, earlier, priors=False))
    if stage.overlap:
        total += all_blocks * (group.resolved.chain.make_solver().stop.max_iter + 1)  # the first round is the start
    return total


def _needed(elements: Iterable[Element], parts: Iterable[Part]) -> list[str]:
    """The variables that steps read and none of them has made before."""
    made: set[str] = set()
    needed: dict[str, None] = {}
    for part in [element.part for element in elements]:
        needed |= dict.fromkeys(name for name in (*part.requires, *part.uses) if name not in made)
        made |= {*part.provides}
    names = [name for part in parts for name in ("measurement", *part.requires, *part.uses)]
    return list(needed | dict.fromkeys(name for name in names if name not in made))


def _of(group: Group, names: Iterable[str], earlier: Sequence[StagePlan]) -> list[Stored]:
    """How variables that a group finds are stored; those that were made and are small are not."""
    resolved, found = group.resolved, []
    made = {name for element in resolved.elements[: group.first] for name in element.part.provides}
    arrays = {name: array for stage in earlier for name, array in stage.outputs.items()}
    for name in names:
        if name in made and name in arrays:
            array = arrays[name]
            variable, chunks = group.dataset[name], dict(zip(array.dims, array.chunks, strict=True))
        elif name not in made and name in resolved.source.variables:
            variable = resolved.source[name]
            chunks = variable.encoding.get("preferred_chunks", {})
        else:
            continue
        sizes = {str(dim): n for dim, n in variable.sizes.items()}
        found.append(Stored(sizes, chunks, variable.dtype.itemsize))
    return found


def _fit_bytes(group: Group, place: int, earlier: Sequence[StagePlan]) -> int:
    """Bytes that a preparation is fitted to: what it asks for, along dims that those before it in its stage split."""
    element, before = group.elements[place], group.elements[:place]
    if type(element.preparation).fit is Preparation.fit:
        return 0
    region = element.preparation.reads(element.before)
    free = {dim for dim in region if all(dim in split_dims(one.axes) or dim not in one.axes for one in before)}
    spans = {dim: [part.indices(element.before.sizes[dim])[:2]] for dim, part in region.items() if dim in free}
    return sum(one.bytes_of(spans) for one in _of(group, _needed([*before, element], ()), earlier))
