"""Showing a plan before a run, and its numbers after."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import typer

from preimage.units import format_bytes, format_seconds
from preimage.volumes.driver import Run
from preimage.volumes.plan import StagePlan
from preimage.volumes.planner import PROCESS
from preimage_registry.cli.table import show_table

COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
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


def show_plan(run: Run) -> None:
    """Print stages, blocks, memory and bytes."""
    plan = run.plan
    rows = [
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
    typer.echo(f"{run.output.path}")
    show_titled(("stage", "does", "block", "blocks", "memory", "reads", "writes"), rows)
    typer.echo(f"one worker: {format_bytes(plan.memory)}, {plan.threads} threads, on {run.device}")
    if plan.scalars:
        typer.echo(f"numbers of the run, reduced first: {', '.join(plan.scalars)}")
    for note in plan.notes:
        typer.echo(note)


def _blocks(stage: StagePlan) -> str:
    return ", ".join(f"{dim} {stage.block[dim]} of {n}" for dim, n in stage.sizes.items()) or "all at once"


def show_summary(record: Mapping[str, Any]) -> None:
    """Print the numbers of a finished run."""
    summary = record["summary"]
    shown = [(title, write(summary[name])) for name, (title, write) in COLUMNS.items() if name in summary]
    show_titled([title for title, _ in shown], [[text for _, text in shown]])


def show_titled(titles: list[str] | tuple[str, ...], rows: list[Any]) -> None:
    """A table with its titles, also in a pipe."""
    show_table(titles, rows, titled=True)
