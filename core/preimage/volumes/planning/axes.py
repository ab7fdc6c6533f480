"""Which dims may be cut, given what every part of a chain declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from preimage.declarations import Axis, halo, split, whole

Axes = Mapping[str, Axis]


def complete(declared: Axes | None, before: Iterable[str], after: Iterable[str]) -> dict[str, Axis]:
    """What a part says of all its dims: one that it does not name, or that has one side only, is whole."""
    declared = declared or {}
    before, after = set(before), set(after)
    return {dim: declared.get(dim, whole) if dim in before & after else whole for dim in sorted(before | after)}


def chained(*maps: Axes) -> dict[str, Axis]:
    """Parts one after the other: halos add up, and whole wins. A part leaves dims that it does not know as they are."""
    merged: dict[str, Axis] = {}
    for dim in sorted({dim for axes in maps for dim in axes}):
        reaches = [axes[dim].reach for axes in maps if dim in axes]
        known = [reach for reach in reaches if reach is not None]
        merged[dim] = halo(sum(known)) if len(known) == len(reaches) else whole
    return merged


def iterated(axes: Axes) -> dict[str, Axis]:
    """Under an iteration a halo grows with every step: it becomes whole."""
    return {dim: axis if axis == split else whole for dim, axis in axes.items()}


def split_dims(axes: Axes) -> list[str]:
    """The dims that blocks may be cut along without reading more than their own part."""
    return [dim for dim, axis in axes.items() if axis == split]
