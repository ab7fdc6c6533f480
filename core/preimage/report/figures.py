"""The pictures of one unknown as HTML: every drawn plane's truth, estimate, error and phase, and their scales."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from preimage.report.charts import signal
from preimage.report.markup import Markup, element, joined
from preimage.report.pictures import Pixels, grey, phase, png, ramp
from preimage.report.planes import Extent, Plane, central_planes, extent
from preimage.report.view import FAINT, Freedom, View, view

WIDTH = 1050
"""CSS pixels of a row of pictures."""
GAP = 16
"""CSS pixels between two of them."""
LARGEST = (340, 420)
"""CSS pixels of the widest picture, and of the highest."""
LEVELS = 256
"""Of grey; what is closer than one is not told apart."""
MOVES = {"flip": "a flip", "shift": "a shift", "sign": "a sign", "phase": "a phase", "scale": "a factor"}
"""Over what an operator cannot tell apart, as it is said."""


def unknown(
    name: str,
    estimate: xr.DataArray,
    truth: xr.DataArray | None,
    attributes: Mapping[str, Any],
    freedom: Freedom,
    heading: str,
) -> Markup:
    """Everything that is drawn of an unknown.

    Parameters
    ----------
    name : how it is called.
    truth : with the dims and the shape of the estimate; None if there is none.
    attributes : of the store, such as `voxel_size`.
    freedom : what the estimate is aligned over with its truth.
    heading : the element that titles a plane, such as h3.
    """
    planes = central_planes({str(dim): n for dim, n in estimate.sizes.items()})
    seen = view(planes, estimate, truth, freedom)
    if len(planes[0].dims) < 2:
        return joined([*map(_told, _warnings(seen)), _line(name, seen)])
    extents = [extent(plane, estimate, attributes) for plane in planes]
    rows = [list(_pictures(seen, i)) for i in range(len(planes))]
    column = min(LARGEST[0], (WIDTH + GAP) // len(rows[0]) - GAP)
    scale = min(column / max(size.width for size in extents), LARGEST[1] / max(size.height for size in extents))
    drawn: list[Markup] = []
    for plane, size, pictures in zip(planes, extents, rows, strict=True):
        drawn += [element(heading, _title(plane, size)), _row(f"{name}, {plane.title}", pictures, size, scale, column)]
    return joined([_told(" ".join(_notes(seen))), _bars(seen), *drawn])


def _title(plane: Plane, size: Extent) -> str:
    """Where a plane lies, and how its voxels are drawn."""
    told = [plane.title]
    if size.voxel is None:
        told.append("voxels drawn square")
    else:
        told.append(f"voxels of {' × '.join(map(_number, size.voxel))} {size.unit}".rstrip())
    if not size.to_scale:
        told.append("not to scale")
    told += [f"one of {step} along {dim} drawn" for dim, step in plane.steps.items() if step > 1]
    return ", ".join(told)


def _row(what: str, pictures: Sequence[tuple[str, Pixels]], size: Extent, scale: float, column: int) -> Markup:
    """Pictures of a plane side by side, in columns that are as wide for every plane."""
    width, height = scale * size.width, scale * size.height
    figures = []
    for caption, pixels in pictures:
        enlarged = width >= pixels.shape[1] and height >= pixels.shape[0]
        drawn = element(
            "img",
            src=png(pixels),
            alt=f"{caption}: {what}",
            style=f"width: {width / column:.2%}; aspect-ratio: {width:.5g} / {height:.5g}",
            class_="voxels" if enlarged else "fine",
        )
        figures.append(element("figure", drawn, element("figcaption", caption), style=f"width: {column}px"))
    return element("div", *figures, class_="row")


def _pictures(seen: View, i: int) -> Iterator[tuple[str, Pixels]]:
    """Caption and pixels of every picture of a plane."""
    black, white = seen.scale
    images = _named(seen, i)
    for name, image in images.items():
        yield name if seen.signed else f"{name}, magnitude", grey(seen.brightness(image), black, white)
    if seen.truths:
        yield _error(seen), grey(seen.errors[i], 0, (white - black) / seen.gain)
    for name, image in images.items():
        if np.iscomplexobj(image):
            yield f"{name}, phase", phase(image, FAINT * white)


def _named(seen: View, i: int) -> dict[str, Any]:
    return ({"truth": seen.truths[i]} if seen.truths else {}) | {"estimate": seen.estimates[i]}


def _error(seen: View) -> str:
    """What the picture of the error is called."""
    return f"error × {seen.gain}" if seen.gain > 1 else "error"


def _bars(seen: View) -> Markup:
    """The scales, with their numbers."""
    black, white = seen.scale
    span = white - black
    level = grey(ramp(), 0, 1)
    bars = [("value" if seen.signed else "magnitude", level, _ticks(black, span))]
    if seen.truths:
        bars.append((_error(seen), level, _ticks(0, span / seen.gain)))
    if seen.has_phase:
        turns = phase(np.exp(1j * math.pi * (2 * ramp() - 1)), 0)
        bars.append(("phase in rad", turns, ["−π", "0", "π"]))
    return element("div", *(_bar(*bar) for bar in bars), class_="row bars")


def _ticks(low: float, span: float) -> list[str]:
    return [_number(low + share * span) for share in (0, 0.5, 1)]


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _bar(caption: str, pixels: Pixels, numbers: list[str]) -> Markup:
    drawn = element("img", src=png(pixels), alt=f"scale of {caption}, from {numbers[0]} to {numbers[-1]}")
    ticks = element("div", *(element("span", number) for number in numbers), class_="ticks")
    return element("figure", drawn, ticks, element("figcaption", caption))


def _notes(seen: View) -> list[str]:
    """What a reader of the pictures must know."""
    black, white = seen.scale
    told = [f"White is {_number(white)}, the highest of what is drawn; black is {_number(black)}."]
    if black - seen.range[0] > (white - black) / LEVELS:
        told.append(f"So are lower values, down to {_number(seen.range[0])}.")
    if seen.truths:
        of = " of the magnitudes" if seen.has_phase and not np.iscomplexobj(seen.truths[0]) else ""
        gain = f", drawn {seen.gain} times as bright" if seen.gain > 1 else ""
        told.append(f"The error is the absolute difference{of} from the truth{gain}.")
    if seen.has_phase:
        told.append(f"The phase is grey where the magnitude is below {FAINT:.0%} of white.")
    return [*told, *_warnings(seen), "A plane is named by its rows and its columns; indices count from 0."]


def _warnings(seen: View) -> list[str]:
    """What is not as it seems."""
    told = []
    if seen.moved_over:
        moves = " and ".join(said for move, said in MOVES.items() if move in seen.moved_over)
        told.append(f"The estimate is aligned with the truth over {moves}, which the data do not tell.")
    if seen.n_broken:
        told.append(f"{seen.n_broken} of the values that are drawn are not finite (magenta).")
    return told


def _told(text: str) -> Markup:
    return element("p", text, class_="quiet")


def _line(name: str, seen: View) -> Markup:
    """An unknown with one axis as a curve, one without any as a number."""
    named = _named(seen, 0)
    if not seen.planes[0].dims:
        return element("p", ", ".join(f"{what} {complex(value):.6g}" for what, value in named.items()))
    (dim,) = seen.planes[0].dims
    drawn = signal(named, dim, seen.planes[0].steps[dim])
    return element("img", src=drawn, alt=f"{name}, {seen.planes[0].title}", class_="chart")
