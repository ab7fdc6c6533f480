"""How two results compare, value by value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preimage.errors import RunError
from preimage.volumes.planning.plan import Bounds
from preimage.volumes.stores import open_dataset
from preimage_registry.results.stored import StoredRun

Array = NDArray[Any]

ROUNDING = 1e-6
"""Relative to the norm of an estimate: what another order of its sums may change in single precision."""
SLAB = 2**22
"""Elements that are compared at once."""


@dataclass(frozen=True)
class Agreement:
    """How an estimate compares with the one that is stored.

    Attributes
    ----------
    name : of the estimate.
    identical : bit for bit.
    relative : norm of the difference relative to that of the stored one.
    where : the first block that differs by more than rounding, and the largest difference; empty where there is none.
    """

    name: str
    identical: bool
    relative: float
    where: str = ""

    @property
    def equal(self) -> bool:
        """But for rounding; False where only one of the two is a number."""
        return self.identical or self.relative <= ROUNDING

    def __str__(self) -> str:
        """A line."""
        if self.identical:
            return f"identical: {self.name} is the same bit for bit"
        if self.equal:
            return f"equal: {self.name} differs by {self.relative:.2g} of its norm, which is rounding"
        return f"different: {self.name} differs by {self.relative:.3g} of its norm, {self.where}"


def agreements(run: StoredRun, again: StoredRun) -> list[Agreement]:
    """How every estimate of a run compares with that of another, read block by block.

    Raises
    ------
    RunError : a store cannot be read.
    """
    stored, new = open_dataset(run.path), open_dataset(again.path)
    names = dict.fromkeys([*run.plan.solve.outputs, *again.plan.solve.outputs])
    try:
        return [_agreement(name, stored.get(name), new.get(name), run) for name in names]
    except (OSError, ValueError) as error:  # such as a checksum that does not fit
        raise RunError(f"{run.path} or {again.path} cannot be read, it is damaged: {error}") from error


def _agreement(name: str, stored: xr.DataArray | None, new: xr.DataArray | None, run: StoredRun) -> Agreement:
    shapes = [_shape(stored), _shape(new)]
    if stored is None or new is None or shapes[0] != shapes[1]:
        return Agreement(name, False, np.inf, f"it was {shapes[0]}, and is {shapes[1]}")
    dims = tuple(map(str, stored.dims))
    comparison = _Comparison(dims)
    for number, block in enumerate(run.plan.solve.regions(), 1):
        label = ", ".join([f"block {number}", *(f"{dim} {start}:{stop}" for dim, (start, stop) in block.items())])
        for region in _slabs(stored, block):
            here: dict[Any, slice] = {dim: slice(*bounds) for dim, bounds in region.items()}
            one, other = (np.ascontiguousarray(image.isel(here).values) for image in (stored, new))
            comparison.add(label, tuple(region[dim][0] for dim in dims), one, other)
    return comparison.agreement(name)


def _slabs(image: xr.DataArray, block: Mapping[str, Bounds]) -> Iterator[dict[str, Bounds]]:
    """A block in parts along its first dim, as large as may be in memory in double precision some times over."""
    whole = {str(dim): block.get(str(dim), (0, n)) for dim, n in image.sizes.items()}
    if not whole:
        yield {}
        return
    first = next(iter(whole))
    start, stop = whole[first]
    plane = math.prod(b - a for dim, (a, b) in whole.items() if dim != first)
    step = max(1, SLAB // max(1, plane))
    for at in range(start, stop, step):
        yield {**whole, first: (at, min(at + step, stop))}


class _Comparison:
    """What is known of a difference after some parts."""

    def __init__(self, dims: tuple[str, ...]) -> None:
        self.dims = dims
        self.identical = True
        self.norm2 = self.difference2 = self.most = 0.0
        self.first = self.most_at = ""

    def add(self, label: str, origin: tuple[int, ...], stored: Array, new: Array) -> None:
        """A part of both, of the block with this label, which begins at `origin`."""
        one, other = stored.astype(np.complex128), new.astype(np.complex128)
        norm2 = float((np.abs(one[np.isfinite(one)]) ** 2).sum())
        self.norm2 += norm2
        if stored.tobytes() == new.tobytes():
            return
        self.identical = False
        with np.errstate(invalid="ignore"):
            difference = np.where(np.isfinite(one) & np.isfinite(other), np.abs(one - other), np.inf)
        difference[(one == other) | (np.isnan(one) & np.isnan(other))] = 0
        difference2 = float((difference**2).sum())
        self.difference2 += difference2
        if not self.first and difference2 > ROUNDING**2 * norm2:
            self.first = label
        if difference.max() > self.most:
            self.most = float(difference.max())
            at = np.unravel_index(int(difference.argmax()), difference.shape)
            places = zip(self.dims, origin, at, strict=True)
            self.most_at = ", ".join(f"{dim} {start + i}" for dim, start, i in places)

    def agreement(self, name: str) -> Agreement:
        """After all blocks."""
        relative = float(np.sqrt(self.difference2 / self.norm2)) if self.norm2 else float(np.sqrt(self.difference2))
        where = f"first in {self.first}; most at {self.most_at}, by {self.most:.3g}" if self.first else ""
        return Agreement(name, self.identical, relative, where)


def _shape(image: xr.DataArray | None) -> str:
    if image is None:
        return "not there"
    return f"{image.dtype} with {', '.join(f'{dim} {n}' for dim, n in image.sizes.items())}"
