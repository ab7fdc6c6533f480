"""Tables: drawn where there is a terminal, plain columns where there is a pipe."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

import typer


def show_table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    titled: bool = False,
    strong: Collection[tuple[int, int]] = (),
) -> None:
    """Print a table; where it is piped, without wrapping, one line a row.

    Parameters
    ----------
    titled : whether a piped table has its titles too; without them every line is a row.
    strong : row and column of cells to stand out: bold, and with a star where it is piped.
    """
    if sys.stdout.isatty():
        _draw(titles, rows, strong)
        return
    marked = [[f"{cell}*" if (i, j) in strong else cell for j, cell in enumerate(row)] for i, row in enumerate(rows)]
    for line in columns([titles, *marked] if titled else marked):
        typer.echo(line)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines whose cells stand below one another."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _draw(titles: Sequence[str], rows: Sequence[Sequence[str]], strong: Collection[tuple[int, int]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title, overflow="fold")
    for i, row in enumerate(rows):
        table.add_row(*(Text(cell, "bold" if (i, j) in strong else "") for j, cell in enumerate(row)))
    Console().print(table)
