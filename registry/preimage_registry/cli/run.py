"""`preimage run`: run a file, or go on with a run that was stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from preimage_registry.cli.context import registry_of
from preimage_registry.cli.validate import Overrides, RunFile


def run(
    context: typer.Context,
    file: RunFile,
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan: stages, blocks, memory, bytes.")] = False,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe", help="With --dry-run: try a block of every stage, to see what it needs and how long all takes."
        ),
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew where the output exists.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read what finished blocks stored, and do again what is damaged.")
    ] = False,
) -> None:
    """Run a file; a run that was stopped goes on where it was."""
    from preimage_registry.cli.showing import show_plan, show_summary
    from preimage_registry.cli.watching import watched
    from preimage_registry.runfile import read_recipe
    from preimage_registry.running import RUN_SECTIONS, prepare

    registry = registry_of(context)
    recipe = read_recipe(file, registry, overrides or (), required=RUN_SECTIONS)
    if dry_run:
        show_plan(prepare(recipe, registry), probe=probe)
        return
    try:
        with watched() as watchers:
            record = prepare(recipe, registry, watchers).execute(fresh=fresh, verify=verify)
    except KeyboardInterrupt:
        typer.echo("what is done is kept, and so is the state of the block in work: the same command goes on", err=True)
        raise
    show_summary(record)
