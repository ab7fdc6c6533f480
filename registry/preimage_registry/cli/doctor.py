"""`preimage doctor`: what is wrong here, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at versions, devices, threads, memory and plugins; exit with 1 if anything should be mended."""
    from preimage_registry.diagnosis import diagnose

    findings = list(diagnose(context.find_root().params["plugins"]))
    if as_json:
        typer.echo(json.dumps([{**asdict(one), "state": one.state} for one in findings], indent=2))
    else:
        width = max(len(one.about) for one in findings)
        for one in findings:
            first, *rest = one.found.splitlines() or [""]
            typer.echo(f"{one.state:7}  {one.about:{width}}  {first}")
            for line in [*rest, *([f"→ {one.cure}"] if one.cure else [])]:
                typer.echo(f"{'':7}  {'':{width}}  {line}")
    if any(one.cure for one in findings):
        raise typer.Exit(1)
