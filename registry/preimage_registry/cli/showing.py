"""Showing a plan before a run, and its numbers after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from preimage.report import report_path
from preimage.report.tables import STAGES, stage_rows, summary_table
from preimage.units import format_bytes
from preimage.volumes.driver import Run
from preimage_registry.cli.table import show_table


def show_plan(run: Run) -> None:
    """Print stages, blocks, memory and bytes."""
    plan = run.plan
    typer.echo(f"{run.output.path}")
    show_titled(STAGES, stage_rows(plan))
    typer.echo(f"one worker: {format_bytes(plan.memory)}, {plan.threads} threads, on {run.device}")
    if plan.scalars:
        typer.echo(f"numbers of the run, reduced first: {', '.join(plan.scalars)}")
    for note in plan.notes:
        typer.echo(note)


def show_summary(record: Mapping[str, Any]) -> None:
    """Print the numbers of a finished run, and where its report is."""
    show_titled(*summary_table(record["summary"]))
    report = report_path(Path(record["recipe"]["output"]["path"])).resolve()
    if report.exists():
        typer.echo(f"report: {report.relative_to(Path.cwd()) if report.is_relative_to(Path.cwd()) else report}")


def show_titled(titles: list[str] | tuple[str, ...], rows: list[Any]) -> None:
    """A table with its titles, also in a pipe."""
    show_table(titles, rows, titled=True)
