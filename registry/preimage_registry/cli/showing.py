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
    """Print stages, blocks, memory and bytes; once blocks were tried, also what they took and how long all takes."""
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
        _show_probes(run, found)
    elif run.to_probe:
        typer.echo(
            "these blocks follow from what the parts declare. A run tries one first, "
            "and may then be cut in others: --probe tries them now"
        )


def _show_probes(run: Run, found: Mapping[int, Probe]) -> None:
    workers = 1 if run.compute.on_a_cluster else run.compute.workers
    who = "one worker; more of a cluster divide that" if run.compute.on_a_cluster else _workers(workers)
    total = 0.0
    for i, one in found.items():
        total += one.seconds * math.ceil(one.n_blocks / workers)
        typer.echo(
            f"stage {i + 1}: a block that was tried, of {one.n_blocks}, took {format_bytes(one.block)} "
            f"beside a process of {format_bytes(one.process)}, and takes about {format_seconds(one.seconds)}"
        )
    typer.echo(f"all blocks of all stages take about {format_seconds(total)} on {who}")


def _workers(n: int) -> str:
    return f"{n} worker{'s' if n > 1 else ''}"


def show_summary(record: Mapping[str, Any]) -> None:
    """Print the numbers of a finished run, and where its report is."""
    show_titled(*summary_table(record["summary"]))
    report = report_path(Path(record["recipe"]["output"]["path"])).resolve()
    if report.exists():
        typer.echo(f"report: {report.relative_to(Path.cwd()) if report.is_relative_to(Path.cwd()) else report}")


def show_titled(titles: list[str] | tuple[str, ...], rows: list[Any]) -> None:
    """A table with its titles, also in a pipe."""
    show_table(titles, rows, titled=True)
