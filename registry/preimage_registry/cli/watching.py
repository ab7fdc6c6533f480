"""Watching a run at a terminal: a bar for every stage, on the error stream; nothing where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from preimage.volumes.progress import InWork, Progress


class Notes(Progress):
    """Says, a line each, what a reader of the run should know, whoever reads."""

    def failed(self, message: str) -> None:
        """An attempt that failed."""
        typer.echo(f"tried again: {message}", err=True)

    def noted(self, message: str) -> None:
        """A note."""
        typer.echo(f"note: {message}", err=True)


class Terminal(Progress):
    """Draws what a run is working on."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        self.tasks: dict[str, TaskID] = {}
        self.label, self.done, self.in_work = "", 0, InWork()

    def working(self, label: str, done: int, total: int) -> None:
        """Move the bar of this label."""
        if label not in self.tasks:
            self.tasks[label] = self.bars.add_task(label, total=total)
        if label != self.label:
            self.in_work.clear()
        self.label, self.done = label, done
        self._draw()

    def stepped(self, block: int, iteration: int, total: int) -> None:
        """Move the bar by a part of a block."""
        self.in_work.stepped(block, iteration, total, time.monotonic())
        self._draw()

    def finished_block(self, record: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """It is no part any more."""
        self.in_work.finished(facts["block"])

    def _draw(self) -> None:
        self.bars.update(self.tasks[self.label], completed=self.done + self.in_work.part)


@contextmanager
def watched() -> Iterator[tuple[Progress, ...]]:
    """The watchers of a run for as long as it goes."""
    if not sys.stderr.isatty():
        yield (Notes(),)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        yield (Notes(), Terminal(bars))
