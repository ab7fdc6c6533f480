"""`preimage compare`: runs of the same data side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preimage.errors import PreimageError, RequestError
from preimage_registry.cli.context import registry_of
from preimage_registry.cli.table import show_table
from preimage_registry.cli.writing import written


def compare(
    context: typer.Context,
    outputs: Annotated[list[Path], typer.Argument(metavar="OUT...", help="The stores of finished runs.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Draw them too: .png, .pdf or .svg.")
    ] = None,
) -> None:
    """Show runs of the same data side by side: what differs, and what came of it."""
    if output is not None and output.suffix not in (".png", ".pdf", ".svg"):
        raise RequestError(f"--output {output}: a figure's name ends in .png, .pdf or .svg")
    from preimage_registry.results.compared import open_runs, read_truths
    from preimage_registry.results.table import comparison

    runs = open_runs(outputs)
    table = comparison(runs)
    show_table(table.titles, table.rows, titled=True, strong=table.best)
    if output is None:
        return
    from preimage_registry.results.figure import write_figure

    try:
        truths = read_truths(runs, registry_of(context))
    except PreimageError as error:
        typer.echo(f"the figure is drawn without a truth: {error}", err=True)
        truths = {}
    with written(output):
        write_figure(output, runs, truths)
