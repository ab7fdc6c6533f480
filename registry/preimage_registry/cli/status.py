"""`preimage status`: how far a run is, from another shell."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from preimage.units import format_bytes, format_seconds
from preimage_registry.cli.table import columns

if TYPE_CHECKING:
    from preimage_registry.results.status import Status

_STOPPED = 130


def status(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The store of a run, in work or finished.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --watch an object a line.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run to its end; exit with 1 if it fails.")] = False,
) -> None:
    """Show how far a run is: blocks, rate, time that is left, memory and failures."""
    from preimage_registry.results import status as reading

    if not watch:
        found = reading.status_of(output)
        typer.echo(json.dumps(plain(found), indent=2) if as_json else "\n".join(described(found)))
        return
    try:
        found = _follow(reading.watch(output), as_json)
    except KeyboardInterrupt:
        typer.echo("preimage: stopped watching; the run goes on", err=True)
        raise typer.Exit(_STOPPED) from None
    if found.state != "finished":
        raise typer.Exit(1)


def plain(status: Status) -> dict[str, Any]:
    """All of it, for JSON."""
    stage = status.stage
    return {
        **asdict(status),
        "path": str(status.path),
        "alive": status.state in ("running", "silent"),
        "done": sum(stage.done for stage in status.stages),
        "total": sum(stage.total for stage in status.stages),
        "stage": None if stage is None else status.stages.index(stage) + 1,
        "remaining_seconds": status.remaining,
    }


def described(status: Status) -> list[str]:
    """All of it, in lines."""
    from preimage_registry.results.status import MEANINGS

    lease = status.lease
    who = f", process {lease.pid} on {lease.host}" if lease and status.in_work else ""
    lines = [f"{status.path}: {status.state}{who}: {MEANINGS[status.state]}"]
    if status.stages:
        rows = [
            (
                str(i),
                stage.label,
                f"{stage.done} of {stage.total}",
                "" if stage.block_seconds is None else format_seconds(stage.block_seconds),
            )
            for i, stage in enumerate(status.stages, 1)
        ]
        lines += columns([("stage", "does", "blocks", "a block"), *rows])
    if status.in_work and lease is not None and lease.label:
        lines.append(f"in work: {_in_work(status)}")
    if lease is not None and lease.workers and status.in_work:
        lines.append(f"workers: {lease.workers}")
    if lease is not None and lease.peak and status.state != "finished":
        now = f"{format_bytes(lease.memory)} now, " if status.in_work and not lease.workers else ""
        each = " each" if lease.workers else ""
        lines.append(f"memory: {now}{format_bytes(lease.peak)} at most{each}, of {format_bytes(status.budget)}")
    if lease is not None and lease.failures:
        lines.append(f"failures: {lease.failures}, the last: {lease.error or 'no reason was given'}")
    return lines


def _in_work(status: Status) -> str:
    assert status.lease is not None
    stage, label = status.stage, status.lease.label
    if stage is None or stage.label != label:  # numbers of the run, metrics
        return f"{label}, {status.lease.done} of {status.lease.total}"
    if status.lease.iterations:
        label += f", {_iterations(status.lease.iterations)}"
    if status.remaining is None:
        return f"{label}; how long it takes shows once a block is done"
    further = len(status.stages) - status.stages.index(stage) - 1
    then = "" if not further else ", then another stage" if further == 1 else f", then {further} stages"
    return f"{label}, about {format_seconds(status.remaining)} left{then}"


def _iterations(of_blocks: Sequence[tuple[int, int]]) -> str:
    """Of one block in work, or from the least to the most of several."""
    taken, most = [one for one, _ in of_blocks], max(most for _, most in of_blocks)
    low, high = min(taken), max(taken)
    return f"iteration {low} of {most}" if low == high else f"iterations {low} to {high} of {most}"


def _follow(statuses: Iterable[Status], as_json: bool) -> Status:
    """Show each; at a terminal in one place, else where it changes."""
    if sys.stdout.isatty() and not as_json:
        return _drawn(statuses)
    last = shown = None
    for last in statuses:
        progress = (last.state, [stage.done for stage in last.stages])
        if progress != shown:
            typer.echo(json.dumps(plain(last)) if as_json else _in_a_line(last))
            sys.stdout.flush()
            shown = progress
    assert last is not None
    return last


def _in_a_line(status: Status) -> str:
    left = status.remaining
    blocks = "; ".join(f"{stage.label} {stage.done} of {stage.total}" for stage in status.stages)
    return f"{status.state}: {blocks}" + ("" if left is None else f", about {format_seconds(left)} left")


def _drawn(statuses: Iterable[Status]) -> Status:
    from rich.live import Live
    from rich.text import Text

    last = None
    with Live(auto_refresh=False) as live:
        for last in statuses:
            live.update(Text("\n".join(described(last))), refresh=True)
    assert last is not None
    return last
