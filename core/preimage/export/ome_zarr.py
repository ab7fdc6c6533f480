"""An OME-Zarr view: a pyramid of magnitude and phase, for napari, neuroglancer, Fiji and others.

Magnitude and phase are two channels of one image, since this is what viewers open at a stroke: a layer of each, on one
grid, with a name and a window of its own. Two images would be two paths, or a collection of which most open the first.
A chunk has one channel: who looks at the magnitude reads nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from preimage.errors import RequestError
from preimage.export import Part
from preimage.export.channels import Channels, edge_of, layout
from preimage.export.geometry import SPACE, TIME
from preimage.export.ome_metadata import VERSION, axis_names, channel, metadata
from preimage.export.pyramid import joined, levels_of, reduced
from preimage.export.source import Array, Region, Source, regions
from preimage.volumes import stores
from preimage.volumes.planning.plan import ArrayPlan
from preimage.volumes.progress import Progress

LIMIT = 2**23
"""Voxels that are read and written at once, where a chunk of the source is no larger."""


def prepare(source: Source, part: Part) -> View:
    """The view of a variable.

    Raises
    ------
    RequestError : it has other dims than an image, or a part is asked for.
    """
    if part is not Part.COMPLEX:
        raise RequestError(f"--part {part}: an OME-Zarr view has magnitude and phase as channels; leave it out")
    dims = [*source.sizes]
    time, space = ([dim for dim in names if dim in dims] for names in (TIME, SPACE[::-1]))
    if len(space) < 2 or len(time) > 1 or len(dims) > len(time) + len(space):
        raise RequestError(
            f"{source.name} has the dims {', '.join(dims) or 'none'}; an OME-Zarr view has two or three of z, y, x, "
            "and time: choose an index along every other dim, such as --at coil=0"
        )
    return View(source, (*time, *space))


@dataclass
class View:
    """An image to look at.

    Attributes
    ----------
    dims : of the source, in the order of the view, which has the channels after time.
    lowest, highest : of the finite values that were read, or of their magnitudes.
    """

    source: Source
    dims: tuple[str, ...]
    lowest: float = field(default=math.inf, init=False)
    highest: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        """Plan the levels, and how each is stored."""
        self.complex = self.source.dtype.kind == "c"
        self.axes = {dim: self.source.axis(dim) for dim in self.dims}
        self.channel_axis = sum(dim in TIME for dim in self.dims)
        self.edge = edge_of(self.dims)
        steps = [axis.step if dim in SPACE else math.inf for dim, axis in self.axes.items()]
        self.levels = levels_of([self.source.sizes[dim] for dim in self.dims], steps, self.edge)

    @property
    def text(self) -> str:
        """What it is, in a line."""
        what = "magnitude and phase" if self.complex else "one channel"
        shape, n = " × ".join(map(str, self.levels[0].shape)), len(self.levels)
        return f"OME-Zarr {VERSION}, {what}, {shape} ({', '.join(self.dims)}), {n} {'level' if n == 1 else 'levels'}"

    def write(self, path: Path, progress: Progress) -> None:
        """Write every level from the one above it, and last of all what makes an image of them."""
        group = stores.create_group(path)
        above = None
        for i in range(len(self.levels)):
            plan = self._layout(i)
            stores.create_array(group, str(i), plan, compressed=True)
            target = Channels(stores.open_for_writing(path, str(i)), self.channel_axis)
            blocks = [*regions(self.levels[i].shape, self._block(i, plan))]
            read = self._read_source if above is None else self._halving(i, above)
            for done, region in enumerate(blocks):
                progress.working(f"level {i}", done, len(blocks))
                target.write(region, read(region))
            progress.working(f"level {i}", len(blocks), len(blocks))
            above = target
        group.attrs[stores.ATTRIBUTE] = {"schema": stores.SCHEMA, **self._origin()}
        group.attrs["ome"] = self._metadata()

    def _layout(self, i: int) -> ArrayPlan:
        sizes = dict(zip(self.dims, self.levels[i].shape, strict=True))
        return layout(sizes, axis_names(self.dims, self.channel_axis), self.channel_axis, 2 if self.complex else 1)

    def _block(self, i: int, plan: ArrayPlan) -> tuple[int, ...]:
        """What is written at once: shards, and of the first level as many as make reading worthwhile."""
        unit = tuple(n for axis, n in enumerate(plan.write_unit) if axis != self.channel_axis)
        chunks = [self.source.chunks[dim] for dim in self.dims]
        return joined(unit, self.levels[0].shape, chunks, LIMIT) if i == 0 else unit

    def _read_source(self, region: Region) -> Array:
        values = self.source.read(self.dims, region)
        shown = np.abs(values) if self.complex else values
        shown = shown[np.isfinite(shown)]
        self.lowest = min(self.lowest, float(shown.min(initial=math.inf)))
        self.highest = max(self.highest, float(shown.max(initial=-math.inf)))
        return values

    def _halving(self, i: int, above: Channels) -> Callable[[Region], Array]:
        """Reads a region of level i from the level above it."""
        fine, coarse = self.levels[i - 1], self.levels[i]
        return lambda region: reduced(above.read, region, fine, coarse, self.edge, self.source.dtype)

    def _origin(self) -> dict[str, Any]:
        """What it is a view of."""
        return {"variable": self.source.name, "dims": self.dims, "at": dict(self.source.at)}

    def _metadata(self) -> dict[str, Any]:
        if self.complex:
            phase = channel("phase", (-math.pi, math.pi), active=False)
            channels = [channel("magnitude", (0.0, self.highest)), phase]
        else:
            channels = [channel(self.source.name, (self.lowest, self.highest))]
        return metadata(self.source.name, self.axes, self.channel_axis, self.levels, channels)
