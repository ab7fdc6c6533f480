"""`preimage describe`: what a method does, takes and offers."""

from __future__ import annotations

from typing import Annotated

import typer

from preimage_registry.cli.context import registry_of


def describe(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="KIND.NAME", help="Such as solver.fista.")],
) -> None:
    """Show a method's settings and what it can do."""
    from preimage_registry.cli.description import show
    from preimage_registry.cli.naming import find_method

    registry = registry_of(context)
    show(find_method(registry, name), registry)
