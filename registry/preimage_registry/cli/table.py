"""Tables: drawn where there is a terminal, plain columns where there is a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer


def show_table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, titled: bool = False) -> None:
    """Print a table; where it is piped, without wrapping, one line a row.

    Parameters
    ----------
    titled : whether a piped table has its titles too; without them every line is a row.
    """
    if sys.stdout.isatty():
        _draw(titles, rows)
        return
    rows = [titles, *rows] if titled else rows
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _draw(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
