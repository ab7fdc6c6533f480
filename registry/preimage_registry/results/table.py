"""The table of a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from preimage.report.tables import SUMMARY, of_unknown
from preimage_registry.results.compared import Compared

ALWAYS = ("prior", "solver")
"""Kinds whose methods are shown even where all runs have the same."""
BEST = {"psnr": max, "ssim": max, "nrmse": min, "held_out_nmse": min, "seconds": min, "peak_mib": min}
"""Which of a number is best; of a residual none is, since the noise is part of the data."""


@dataclass(frozen=True)
class Table:
    """A row for each run.

    Attributes
    ----------
    best : row and column of the best number in each column that has one.
    """

    titles: list[str]
    rows: list[list[str]]
    best: frozenset[tuple[int, int]]


def comparison(runs: Sequence[Compared]) -> Table:
    """Methods, the settings in which runs differ, and their numbers."""
    named = {kind: [run.methods[kind] for run in runs] for kind in runs[0].methods}
    methods = {kind: names for kind, names in named.items() if kind in ALWAYS or len(set(names)) > 1}
    settings = {
        key: [_written(run.settings.get(key)) for run in runs] for key in _differing([r.settings for r in runs])
    }
    numbers = {name: [run.summary.get(name) for run in runs] for name in _numbers([run.summary for run in runs])}
    written = {
        " ".join(filter(None, [SUMMARY[base][0], unknown])): [_number(base, value) for value in values]
        for (base, unknown), values in ((of_unknown(name), values) for name, values in numbers.items())
    }
    shown = {"run": [run.name for run in runs], **methods, **settings, **written}
    first = len(shown) - len(written)
    diverged = [not math.isfinite(run.summary.get("residual", 0.0)) for run in runs]
    best = {(i, j) for j, (name, values) in enumerate(numbers.items(), first) for i in _best(name, values, diverged)}
    return Table([*shown], [list(row) for row in zip(*shown.values(), strict=True)], frozenset(best))


def _numbers(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the numbers that any run has, those of each unknown side by side."""
    names = dict.fromkeys(name for summary in summaries for name in summary if of_unknown(name)[0])
    order = [*SUMMARY]
    return sorted(names, key=lambda name: order.index(of_unknown(name)[0]))


def _number(base: str, value: Any) -> str:
    return "" if value is None else SUMMARY[base][1](value)


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys that at least two runs have, with different values, in the order of a run file."""
    keys = dict.fromkeys(key for one in settings for key in one)
    found = []
    for key in keys:
        values = [one[key] for one in settings if key in one]
        if any(value != values[0] for value in values):
            found.append(key)
    return found


def _best(name: str, values: Sequence[float | None], diverged: Sequence[bool]) -> list[int]:
    """Which are best of the runs that came to something; none where all are the same."""
    known = {
        i: value
        for i, (value, lost) in enumerate(zip(values, diverged, strict=True))
        if not (lost or value is None or math.isnan(value))
    }
    base, _ = of_unknown(name)
    if base not in BEST or len(set(known.values())) < 2:
        return []
    wanted = BEST[base](known.values())
    return [i for i, value in known.items() if value == wanted]


def _written(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
        case list():
            return ", ".join(map(_written, value))
    return str(value)
