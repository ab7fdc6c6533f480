"""`preimage check`: the laws of every kind, without pytest."""

from __future__ import annotations

from typing import Annotated

import typer

from preimage.errors import PluginError, RequestError
from preimage_registry.cli.context import registry_of
from preimage_registry.cli.naming import find_method
from preimage_registry.discovery import Method, normalised
from preimage_registry.registry import Registry


def check(
    context: typer.Context,
    what: Annotated[
        str | None, typer.Argument(metavar="DIST|KIND.NAME", help="A distribution or a method; by default all.")
    ] = None,
) -> None:
    """Check that methods keep the laws of their kind."""
    from preimage.testing import check as check_laws

    registry = registry_of(context)
    broken = 0
    for method in _methods(registry, what):
        try:
            outcomes = [*check_laws(method.kind, registry.load(method).module)]
        except PluginError as error:
            typer.echo(f"BROKEN {error}")
            broken += 1
            continue
        problems = [outcome for outcome in outcomes if outcome.problem is not None]
        holds = sum(outcome.holds for outcome in outcomes)
        typer.echo(f"{'BROKEN' if problems else 'ok    '} {method}: {holds} laws hold, {len(problems)} broken")
        for outcome in problems:
            typer.echo(f"       {outcome}")
        broken += bool(problems)
    if broken:
        raise typer.Exit(1)


def _methods(registry: Registry, what: str | None) -> list[Method]:
    """The methods that are meant: all, those of a distribution, or one."""
    if what is None:
        return [method for method in registry.methods if not method.blocked]
    own = [method for method in registry.methods if method.distribution == normalised(what)]
    if own:
        return own
    if "." not in what:
        raise RequestError(f"no distribution {what!r} has methods; write a distribution, or KIND.NAME")
    return [find_method(registry, what)]
