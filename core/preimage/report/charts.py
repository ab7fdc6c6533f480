"""Curves: how a run converged, and signals with one axis."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from preimage.report.pictures import data_uri
from preimage.report.planes import Array

COLOURS = ("#1f77b4", "#d95f02")
PANEL = (4.6, 2.8)
"""Inches of one of the axes side by side, with its margins."""
MARGINS = {"left": 0.85, "right": 0.15, "bottom": 0.5, "top": 0.35}
"""Inches round the axes."""
LOGARITHMIC = 10.0
"""Ratio of the largest value to the smallest from which an axis is logarithmic."""


def converged(values: Array, noted: Sequence[int], last: Sequence[int]) -> tuple[list[int], Array]:
    """Rows of a history as curves: a block that stopped early keeps its last value.

    Parameters
    ----------
    values : (block, row, quantity); the last row is that of the block's last iteration.
    noted : iteration of each row.
    last : the last iteration of each block.

    Returns
    -------
    Iterations, and values (block, iteration, quantity).
    """
    end = max(last)
    rows = [i for i, iteration in enumerate(noted[:-1]) if iteration < end]
    curves = values[:, [*rows, -1]].copy()
    for block, stopped in enumerate(last):
        for i, row in enumerate(rows):
            if noted[row] >= stopped:
                curves[block, i] = values[block, -1]
    return [*(noted[row] for row in rows), end], curves


def convergence(iterations: Sequence[int], curves: Array, quantities: Sequence[str]) -> str:
    """Each quantity against the iteration, median and range over blocks, as a data: URI.

    Several blocks are drawn relative to what each ends with: their contents differ by more than iterations change.
    """
    with _own_style():
        figure, axes = _side_by_side(len(quantities))
        for axis, name, of_blocks in zip(axes, quantities, np.moveaxis(curves, -1, 0), strict=True):
            relative = len(of_blocks) > 1 and (of_blocks[:, -1] > 0).all()
            values = of_blocks / of_blocks[:, -1:] if relative else of_blocks
            known = np.isfinite(values).any(0)
            at, values = np.asarray(iterations)[known], np.where(np.isfinite(values), values, np.nan)[:, known]
            low, high = np.nanmin(values, 0), np.nanmax(values, 0)
            if len(values) > 1:
                axis.fill_between(at, low, high, color=COLOURS[0], alpha=0.25, linewidth=0)
            axis.plot(at, np.nanmedian(values, 0), color=COLOURS[0], marker="o", markersize=3)
            axis.set_title(f"{name}, relative to its end" if relative else name, parse_math=False)
            axis.set_xlabel("iteration")
            axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
            if low.min(initial=np.inf) > 0 and high.max() > LOGARITHMIC * low.min():
                axis.set_yscale("log")
            else:
                axis.ticklabel_format(axis="y", useOffset=False)
        return _svg(figure)


def signal(named: Mapping[str, Array], dim: str, step: int) -> str:
    """Values along one axis as a data: URI; magnitude and phase where one is complex."""
    has_phase = any(map(np.iscomplexobj, named.values()))
    shown: dict[str, Callable[[Array], Array]]
    shown = {"magnitude": np.abs, "phase in rad": np.angle} if has_phase else {"value": np.real}
    with _own_style():
        figure, axes = _side_by_side(len(shown))
        for axis, (title, take) in zip(axes, shown.items(), strict=True):
            for colour, (name, values) in zip(COLOURS, named.items(), strict=False):
                axis.plot(step * np.arange(len(values)), take(values), color=colour, label=name, linewidth=1)
            axis.set_title(title, loc="left")
            axis.set_xlabel(dim, parse_math=False)
        axes[0].legend(frameon=False, ncols=len(named), loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
        return _svg(figure)


def _own_style() -> AbstractContextManager[None]:
    """Ours, whatever the user's is."""
    own = {"svg.hashsalt": "preimage", "axes.spines.top": False, "axes.spines.right": False, "font.size": 9.0}
    return style.context(["default", own])


def _side_by_side(n: int) -> tuple[Figure, list[Axes]]:
    """A figure with n axes; margins are fixed, since laying them out would take as long as drawing."""
    width, between = PANEL[0] * n, MARGINS["left"] + MARGINS["right"]
    grid = {
        "left": MARGINS["left"] / width,
        "right": 1 - MARGINS["right"] / width,
        "bottom": MARGINS["bottom"] / PANEL[1],
        "top": 1 - MARGINS["top"] / PANEL[1],
        "wspace": between / (PANEL[0] - between),
    }
    figure = Figure(figsize=(width, PANEL[1]))
    return figure, list(figure.subplots(1, n, squeeze=False, gridspec_kw=grid)[0])


def _svg(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return data_uri(buffer.getvalue(), "image/svg+xml")
