"""The table: what was found, what is asked for, and by how much it is missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from volumes.cases import BY_NAME
from volumes.row import HEADS, N_TEXTS, cells

WIDTH = 140
"""Of the output, whatever it is written to."""


def show(results: Mapping[str, Mapping[str, Any]]) -> None:
    """Print what each case found."""
    console = Console(width=WIDTH, highlight=False)
    for name, result in results.items():
        case = BY_NAME[name]
        title = f"{case.TITLE} ({result['took_s']:.0f} s)"
        if "failed" in result:
            console.print(f"{title}\n  FAILED: {result['failed']}\n", markup=False)
            continue
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        for i, head in enumerate(HEADS):
            table.add_column(head, justify="left" if i < N_TEXTS else "right")
        for row in cells(case.rows(result["found"])):
            table.add_row(*row)
        console.print(table)
