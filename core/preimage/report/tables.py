"""A run's summary and plan as the cells of tables, for the report and the terminal alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from preimage.metrics import METRICS
from preimage.units import format_bytes, format_seconds
from preimage.volumes.planning.plan import Plan, StagePlan

SUMMARY: dict[str, tuple[str, Callable[[Any], str]]] = {
    "psnr": ("PSNR", lambda v: "∞" if v == math.inf else f"{v:.2f} dB"),
    "ssim": ("SSIM", lambda v: f"{v:.4f}"),
    "nrmse": ("NRMSE", lambda v: f"{v:.4f}"),
    "residual": ("residual", lambda v: f"{v:.4g}"),
    "held_out_nmse": ("held-out NMSE", lambda v: f"{v:.4g}"),
    "iterations": ("iterations", str),
    "seconds": ("time", format_seconds),
    "peak_mib": ("peak memory", lambda v: format_bytes(v * 2**20)),
}
"""Of a run's summary: title, and how a number is written."""

STAGES = ("stage", "does", "block", "blocks", "memory", "reads", "writes")
"""Titles of a plan's table."""


def of_unknown(name: str) -> tuple[str, str]:
    """What a number of a summary is, and of which unknown: `psnr_image` is the `psnr` of the `image`.

    The second is empty for a run of one unknown; both are for what has no title.
    """
    base = next((base for base in SUMMARY if name == base or name.startswith(f"{base}_")), "")
    return base, name.removeprefix(base).removeprefix("_") if base else ""


def summary_table(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Titles and rows: of one unknown a row; of several one each, the first with the numbers of the run as a whole."""
    metrics = [metric.name for metric in METRICS]
    rows: dict[str, dict[str, str]] = {}
    of_run: dict[str, str] = {}
    for name, value in summary.items():
        base, unknown = of_unknown(name)
        if base:
            row = rows.setdefault(unknown, {}) if base in metrics else of_run
            row[base] = SUMMARY[base][1](value)
    first = next(iter(rows.values()), None)
    if first is None:
        rows[""] = of_run
    else:
        first |= of_run
    shown = [base for base in SUMMARY if any(base in row for row in rows.values())]
    titles, cells = (
        [SUMMARY[base][0] for base in shown],
        [[row.get(base, "") for base in shown] for row in rows.values()],
    )
    if "" in rows:
        return titles, cells
    return ["unknown", *titles], [[unknown, *row] for unknown, row in zip(rows, cells, strict=True)]


def stage_rows(plan: Plan) -> list[tuple[str, ...]]:
    """What each stage does, in blocks of which size, with which memory of one worker."""
    return [
        (
            str(i),
            " → ".join(stage.labels),
            _blocks(stage),
            str(stage.n_blocks),
            format_bytes(plan.process + stage.memory)
            + (f", device {format_bytes(stage.device_memory)}" if plan.device_memory else ""),
            format_bytes(stage.bytes_read),
            format_bytes(stage.bytes_written),
        )
        for i, stage in enumerate(plan.stages, 1)
    ]


def _blocks(stage: StagePlan) -> str:
    return ", ".join(f"{dim} {stage.block[dim]} of {n}" for dim, n in stage.sizes.items()) or "all at once"
