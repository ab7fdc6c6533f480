"""`preimage list`: the methods, one line each, importing none."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from preimage.errors import RequestError
from preimage.hookspecs import KINDS
from preimage_registry.cli.context import registry_of
from preimage_registry.cli.table import show_table
from preimage_registry.discovery import Method
from preimage_registry.documents import did_you_mean
from preimage_registry.summaries import summarise


def list_methods(
    context: typer.Context,
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help=f"One of {', '.join(KINDS)}.")] = None,
    why: Annotated[bool, typer.Option("--why", help="Where each is from, and what plugins.toml makes of it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the methods that are installed, one line each."""
    if kind is not None and kind not in KINDS:
        raise RequestError(f"there is no kind {kind!r}{did_you_mean(kind, KINDS)}: it is one of {', '.join(KINDS)}")
    registry = registry_of(context)
    methods = [method for method in registry.methods if kind in (None, method.kind)]
    if as_json:
        typer.echo(json.dumps([{**_facts(method), "why": registry.why(method)} for method in methods], indent=2))
    elif why:
        rows = [(m.kind, m.name, m.distribution, m.version, registry.why(m)) for m in methods]
        show_table(("kind", "name", "distribution", "version", "policy"), rows)
    else:
        show_table(("kind", "name", "summary"), [(m.kind, m.name, _summary(m)) for m in methods])


def _summary(method: Method) -> str:
    if method.blocked:
        return f"[not used: {method.blocked}]"
    summary = summarise(method.entry_point)
    return f"[broken: {summary.broken}]" if summary.broken else summary.text


def _facts(method: Method) -> dict[str, str]:
    summary = summarise(method.entry_point)
    return {
        "kind": method.kind,
        "name": method.name,
        "summary": summary.text,
        "distribution": method.distribution,
        "version": method.version,
        "entry_point": method.entry_point.value,
        "broken": summary.broken,
    }
