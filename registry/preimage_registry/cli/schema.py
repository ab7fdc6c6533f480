"""`preimage schema`: what an editor wants to know of run files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from preimage_registry.cli.context import registry_of
from preimage_registry.cli.writing import written


def schema(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it; by default it is printed.")
    ] = None,
) -> None:
    """Print a JSON schema of run files, from all plugins that are installed."""
    from preimage_registry.schema import run_file_schema

    whole, left_out = run_file_schema(registry_of(context))
    for reason in left_out:
        typer.echo(f"left out: {reason}", err=True)
    text = json.dumps(whole, indent=2, ensure_ascii=False)
    if output is None:
        typer.echo(text)
        return
    with written(output):
        output.write_text(f"{text}\n", encoding="utf-8")
