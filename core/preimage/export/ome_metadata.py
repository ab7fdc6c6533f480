"""What makes an image of a group of arrays, in the words of OME-Zarr 0.5.

References
----------
OME-NGFF specification 0.5, https://ngff.openmicroscopy.org/0.5/
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from preimage.export.channels import with_channel
from preimage.export.geometry import SPACE, TIME, Axis
from preimage.export.pyramid import Level

VERSION = "0.5"
CHANNEL = "c"
TYPES = {CHANNEL: "channel", "t": "time"}
"""Of axes that are none of space."""
METHOD = "mean of the voxels, complex ones before they are split into magnitude and phase"
Json = dict[str, Any]


def axis_names(dims: Sequence[str], channel_axis: int) -> tuple[str, ...]:
    """Names of the axes: t, c, z, y, x.

    Those of a plane are y and x whichever plane it is, since viewers look for them.

    Parameters
    ----------
    dims : without the channels.
    """
    space = [dim for dim in dims if dim in SPACE]
    shown = dict(zip(space, space if len(space) == 3 else "yx", strict=True))
    names = ["t" if dim in TIME else shown[dim] for dim in dims]
    return with_channel(names, channel_axis, CHANNEL)


def channel(label: str, window: tuple[float, float], *, active: bool = True) -> Json:
    """A channel.

    Parameters
    ----------
    window : the values that are drawn black and white; 0 and 1 instead of what is no range.
    active : whether it is shown at first.
    """
    low, high = window if -math.inf < window[0] < window[1] < math.inf else (0.0, 1.0)
    ends = {"min": low, "max": high, "start": low, "end": high}
    return {"label": label, "active": active, "window": ends, "color": "FFFFFF", "family": "linear", "coefficient": 1.0}


def metadata(
    name: str, axes: Mapping[str, Axis], channel_axis: int, levels: Sequence[Level], channels: Sequence[Json]
) -> Json:
    """The attribute `ome` of the group.

    Parameters
    ----------
    axes : by dim, without the channels.
    levels : those of the arrays 0, 1, 2 and so on.
    """
    names = axis_names([*axes], channel_axis)
    units = with_channel([axis.unit for axis in axes.values()], channel_axis, None)
    multiscale = {
        "name": name,
        "axes": [
            {"name": one, "type": TYPES.get(one, "space"), **({"unit": unit} if unit else {})}
            for one, unit in zip(names, units, strict=True)
        ],
        "datasets": [
            {"path": str(i), "coordinateTransformations": _place([*axes.values()], channel_axis, level)}
            for i, level in enumerate(levels)
        ],
        "type": "mean",
        "metadata": {"description": METHOD},
    }
    middle = levels[0].shape[-3] // 2 if "z" in names else 0
    shown = {"model": "greyscale", "defaultZ": middle, "defaultT": 0}
    return {"version": VERSION, "multiscales": [multiscale], "omero": {"channels": [*channels], "rdefs": shown}}


def _place(axes: Sequence[Axis], channel_axis: int, level: Level) -> list[Json]:
    """Scale and translation: the first voxel of a level lies in the middle of those that it is the mean of."""
    by = [*zip(axes, level.factors, strict=True)]
    scale = [axis.step * factor for axis, factor in by]
    translation = [axis.origin + axis.step * (factor - 1) / 2 for axis, factor in by]
    return [
        {"type": "scale", "scale": with_channel(scale, channel_axis, 1.0)},
        {"type": "translation", "translation": with_channel(translation, channel_axis, 0.0)},
    ]
