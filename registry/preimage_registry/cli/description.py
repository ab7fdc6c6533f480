"""What `preimage describe` says of a method."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import typer

from preimage.hookspecs import KINDS
from preimage.offers import declares, members
from preimage_registry.bound import BoundMethod
from preimage_registry.cli.fields import Row, rows_of, section_to_paste
from preimage_registry.cli.table import show_table
from preimage_registry.discovery import Method
from preimage_registry.loading import Plugin
from preimage_registry.registry import Registry
from preimage_registry.summaries import summarise

CAPABILITIES = {"operator": "preimage.operators.capabilities", "prior": "preimage.priors.capabilities"}
"""Modules whose protocols and abstract classes a part of a kind may offer."""


def show(method: Method, registry: Registry) -> None:
    """Print all that can be said of a method."""
    plugin = registry.load(method)
    typer.echo(f"{method}: {summarise(method.entry_point).text}\n")
    if rows := rows_of(plugin.settings):
        show_table(Row._fields, rows)
    else:
        typer.echo("It has no settings.")
    for title, lines in sections_of(plugin, registry):
        typer.echo(f"\n{title}:")
        for line in lines:
            typer.echo(f"  {line}".rstrip())
    heading = f"[[{method.kind}]]" if KINDS[method.kind].many else f"[{method.kind}]"
    typer.echo(f"\nIn a run file:\n\n{section_to_paste(heading, method.name, plugin.settings)}")


def sections_of(plugin: Plugin, registry: Registry) -> Iterator[tuple[str, list[str]]]:
    """What is said of a method beside its settings: titles with their lines."""
    made = " or ".join(getattr(member, "__name__", str(member)) for member in members(plugin.declared))
    offered = [
        f"{capability.__name__}{_who(plugin.declared, capability)}: {summary(capability)}"
        for capability in capabilities(plugin.method.kind)
        if plugin.declared is not Any and declares(plugin.declared, capability)
    ]
    yield "Makes", [made]
    if offered:
        yield "Offers", offered
    if plugin.method.kind == "operator" and (unknowns := _unknowns(plugin, registry)):
        yield "Unknowns", [", ".join(unknowns)]
    if plugin.method.kind == "solver":
        yield "Needs", _needs(plugin, registry)
    for title, dims in (("Requires of the dataset", plugin.requires), ("Adds to the dataset", plugin.provides)):
        if dims:
            yield title, [f"{variable} ({', '.join(names)})" for variable, names in dims.items()]
    references = [line for member in members(plugin.declared) for line in _references(member)]
    if references := references or _references(plugin.module):
        yield "References", references


def _who(declared: Any, capability: Any) -> str:
    """Which of several that it may make offer a capability; empty if all do."""
    able = [member.__name__ for member in members(declared) if declares(member, capability)]
    return "" if len(able) == len(members(declared)) else f" ({' and '.join(able)} alone)"


def capabilities(kind: str) -> list[Any]:
    """What a part of a kind may offer, in the order in which it is defined."""
    if kind not in CAPABILITIES:
        return []
    module = importlib.import_module(CAPABILITIES[kind])
    return [
        one
        for one in vars(module).values()
        if (getattr(one, "_is_protocol", False) or inspect.isabstract(one)) and one.__module__ == module.__name__
    ]


def summary(thing: Any) -> str:
    """The first line of a docstring, without its full stop."""
    return (inspect.getdoc(thing) or "").partition("\n")[0].removesuffix(".")


def _with_defaults(plugin: Plugin, registry: Registry) -> BoundMethod | None:
    """The method with the settings that it has by itself; None where it has not."""
    if any(field.is_required() for field in plugin.settings.model_fields.values()):
        return None
    return BoundMethod(plugin, plugin.settings(), registry)


def _unknowns(plugin: Plugin, registry: Registry) -> Sequence[str]:
    part = _with_defaults(plugin, registry)
    return () if part is None else part.ask("preimage_unknowns") or ()


def _needs(plugin: Plugin, registry: Registry) -> list[str]:
    part = _with_defaults(plugin, registry)
    if part is None:
        return ["depends on its settings"]
    needs = part.make().needs
    low, high = needs.priors.start, needs.priors.stop - 1
    several = str(low) if low == high else f"{low} to {high}" if high < 100 else f"{low} or more"
    wanted = [("operator", needs.operator), ("likelihood", needs.likelihood), ("prior", needs.prior if high else ())]
    lines = [f"{kind}: {', '.join(map(_name, of))}" for kind, of in wanted if of]
    return [*lines, f"number of priors: {several}"]


def _name(capability: Any) -> str:
    return " or ".join(getattr(member, "__name__", str(member)) for member in members(capability))


def _references(thing: Any) -> list[str]:
    """The lines of the section `References` of a numpy-style docstring."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    starts = [i for i, line in enumerate(lines[1:], 1) if set(line) == {"-"} and lines[i - 1] == "References"]
    found = []
    for line, following in zip(lines[starts[0] + 1 :], [*lines[starts[0] + 2 :], ""], strict=True) if starts else ():
        if set(following) == {"-"}:
            break
        found.append(line)
    return [line for line in found if line]
