"""`preimage validate`: all that is wrong with a run file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from preimage_registry.cli.context import registry_of
from preimage_registry.cli.table import show_table

RunFile = Annotated[Path, typer.Argument(metavar="RUN", help="A run file, TOML or JSON.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A value over the file's, such as solver.max_iter=80."),
]


def validate(context: typer.Context, file: RunFile, overrides: Overrides = None) -> None:
    """Show all that is wrong with a run file; no data are read."""
    from preimage_registry.runfile import read_recipe

    recipe = read_recipe(file, registry_of(context), overrides or ())
    parts = [(kind, one) for kind, several in recipe.parts.items() for one in several]
    show_table(
        ("kind", "name", "distribution", "version"),
        [(kind, one.name, one.distribution, one.version) for kind, one in parts],
    )
    typer.echo(f"{file} is valid", err=True)
