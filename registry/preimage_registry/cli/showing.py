"""Showing a plan before a run, and its numbers after."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from preimage.report import report_path
from preimage.report.tables import STAGES, stage_rows, summary_table
from preimage.units import format_bytes, format_seconds
from preimage.volumes.driver import Run
from preimage.volumes.planning.probing import Probe
from preimage_registry.cli.table import show_table


def show_plan(run: Run, *, probe: bool = False) -> None:
    """Print stages, blocks, memory and bytes; once a block was begun, also what it took and how long all takes."""
    found = run.probe() if probe else None
    plan = run.plan
    typer.echo(f"{run.output.path}")
    show_titled(STAGES, stage_rows(plan))
    typer.echo(f"one worker: {format_bytes(plan.memory)}, {plan.threads} threads, device {run.compute.device}")
    if plan.scalars:
        typer.echo(f"numbers of the run, reduced first: {', '.join(plan.scalars)}")
    for note in plan.notes:
        typer.echo(note)
    if found is not None:
        _show_probe(run, found[-1])


def _show_probe(run: Run, found: Probe) -> None:
    solve, workers = run.plan.solve, run.compute.workers
    steps = run.resolved.chain.make_solver().stop.max_iter
    begun = steps if solve.overlap else 1  # in every round anew
    a_block = found.before * begun + found.step * steps
    rounds = math.ceil(solve.n_blocks / workers)
    typer.echo(
        f"a block that was begun took {format_bytes(found.block)} beside a process of {format_bytes(found.process)}; "
        f"the solve takes about {format_seconds(a_block)} a block, {format_seconds(a_block * rounds)} in all "
        f"on {workers} worker{'s' if workers > 1 else ''}"
    )


def show_summary(record: Mapping[str, Any]) -> None:
    """Print the numbers of a finished run, and where its report is."""
    show_titled(*summary_table(record["summary"]))
    report = report_path(Path(record["recipe"]["output"]["path"])).resolve()
    if report.exists():
        typer.echo(f"report: {report.relative_to(Path.cwd()) if report.is_relative_to(Path.cwd()) else report}")


def show_titled(titles: list[str] | tuple[str, ...], rows: list[Any]) -> None:
    """A table with its titles, also in a pipe."""
    show_table(titles, rows, titled=True)
