"""Cutting a chain into groups of consecutive elements that are done block by block together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import xarray as xr

from preimage.declarations import Axis
from preimage.volumes.planning.axes import chained
from preimage.volumes.planning.plan import Steps
from preimage.volumes.resolve import Element, Resolved


class Group:
    """Consecutive elements of a chain that are done block by block together.

    Parameters
    ----------
    last : the element before which it ends.
    solves : whether it ends with the solve.
    asked : dims that are to be cut if they can be.
    """

    def __init__(self, resolved: Resolved, last: int, solves: bool, asked: Collection[str] = ()) -> None:
        self.resolved = resolved
        self.first = self.last = last
        self.solves = solves
        self.asked = asked
        self.axes: Mapping[str, Axis] = resolved.axes if solves else {}

    @classmethod
    def of_all(cls, resolved: Resolved) -> Group:
        """The whole chain in one piece."""
        group = cls(resolved, len(resolved.elements), solves=True)
        group.first = 0
        group.axes = chained(resolved.axes, *(element.axes for element in resolved.elements))
        return group

    @property
    def dataset(self) -> xr.Dataset:
        """What it reads, as headers."""
        return self.elements[0].before if self.elements else self.resolved.dataset

    @property
    def elements(self) -> Sequence[Element]:
        """The preparations."""
        return self.resolved.elements[self.first : self.last]

    @property
    def steps(self) -> Steps:
        """What of the chain it does."""
        return self.first, self.last + self.solves

    def try_to_add(self) -> bool:
        """Put the element before the first into the group, unless nothing, or not what is asked, could be cut then."""
        element = self.resolved.elements[self.first - 1]
        merged = chained(self.axes, element.axes)
        could, can = self.cuttable(self.axes), self.cuttable(merged)
        alone = self.first == self.last and not self.solves
        lost = [dim for dim in self.asked if dim in could and dim not in can]
        if (lost or (could and not can)) and not alone:
            return False
        self.axes = merged
        self.first -= 1
        return True

    def cuttable(self, axes: Mapping[str, Axis]) -> list[str]:
        """The dims of the group's output that may be cut."""
        dims = self._output_sizes()
        reaches = {dim: axis.reach for dim, axis in axes.items() if dim in dims and axis.reach is not None}
        return sorted(reaches, key=lambda dim: reaches[dim] > 0)  # those without a halo first

    def _output_sizes(self) -> Mapping[str, int]:
        if self.solves:
            return self.resolved.domain.sizes
        element = self.resolved.elements[self.last - 1]
        return {str(d): n for name in element.outputs for d, n in element.after[name].sizes.items()}

    @property
    def sizes(self) -> dict[str, int]:
        """Length of every dim that may be cut."""
        lengths, cuttable = self._output_sizes(), self.cuttable(self.axes)
        outermost_first = sorted(cuttable, key=list(lengths).index)
        return {dim: lengths[dim] for dim in sorted(outermost_first, key=lambda dim: dim in self.halo)}

    @property
    def halo(self) -> dict[str, int]:
        """How far beyond its block it reads along dims."""
        return halo_of(self.axes)


def group(resolved: Resolved, asked: Collection[str] = ()) -> list[Group]:
    """Cut the chain where whole axes conflict.

    Parameters
    ----------
    asked : dims along which the solve is to be cut if it can be.
    """
    groups = [Group(resolved, len(resolved.elements), solves=True, asked=asked)]
    while groups[0].first:
        if not groups[0].try_to_add():
            groups.insert(0, Group(resolved, groups[0].first, solves=False))
            groups[0].try_to_add()
    return groups


def halo_of(axes: Mapping[str, Axis]) -> dict[str, int]:
    """How far beyond its own part something looks, along the dims where it does."""
    return {dim: axis.reach for dim, axis in axes.items() if axis.reach}
