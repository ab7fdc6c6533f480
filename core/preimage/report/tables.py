"""A run's summary and plan as the cells of tables, for the report and the terminal alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from preimage.units import format_bytes, format_seconds
from preimage.volumes.plan import Plan, StagePlan
from preimage.volumes.planner import PROCESS

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


def summary_cells(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Title and text of every number that a run has."""
    return [(title, write(summary[name])) for name, (title, write) in SUMMARY.items() if name in summary]


def stage_rows(plan: Plan) -> list[tuple[str, ...]]:
    """What each stage does, in blocks of which size, with which memory of one worker."""
    return [
        (
            str(i),
            " → ".join(stage.labels),
            _blocks(stage),
            str(stage.n_blocks),
            format_bytes(PROCESS + stage.memory),
            format_bytes(stage.bytes_read),
            format_bytes(stage.bytes_written),
        )
        for i, stage in enumerate(plan.stages, 1)
    ]


def _blocks(stage: StagePlan) -> str:
    return ", ".join(f"{dim} {stage.block[dim]} of {n}" for dim, n in stage.sizes.items()) or "all at once"
