"""The catalogue of methods: what `preimage describe` says of each, as one page of Markdown.

`python -m preimage_registry.catalogue FILE` writes it for the packs that ship with preimage.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from preimage.hookspecs import KINDS
from preimage_registry.cli.description import sections_of
from preimage_registry.cli.fields import Row, rows_of
from preimage_registry.discovery import Method
from preimage_registry.loading import Plugin
from preimage_registry.policy import Policy
from preimage_registry.registry import Registry
from preimage_registry.summaries import summarise

HEAD = """\
# Catalogue of methods

What the packs of this repository offer, by kind. `preimage list` shows what is installed, with the methods of other
plugins, and `preimage describe KIND.NAME` says of each what stands here.

`make docs` writes this page from the installed packs: edit the docstrings instead.
"""
OURS = Policy.model_validate({"trust": {"allow": ["preimage-*"]}})
"""The packs that ship, whatever else is installed."""


def catalogue(registry: Registry) -> str:
    """The page of all methods that may be used."""
    return "\n".join([HEAD, *_page(registry)])


def _page(registry: Registry) -> Iterator[str]:
    for kind in KINDS:
        methods = [method for method in registry.methods if method.kind == kind and not method.blocked]
        if not methods:
            continue
        yield f"## {kind.capitalize()}s\n"
        yield from _table(
            ("method", "does"), [(f"[`{one.name}`](#{_anchor(one)})", _cell(_summary(one))) for one in methods]
        )
        for method in methods:
            yield from _entry(registry.load(method), registry)


def _entry(plugin: Plugin, registry: Registry) -> Iterator[str]:
    method = plugin.method
    yield f"### {method.key}\n"
    yield f"{_summary(method)} From `{method.distribution}`.\n"
    if rows := rows_of(plugin.settings):
        yield from _table(Row._fields, [_row(row) for row in rows])
    for title, lines in sections_of(plugin, registry):
        if title == "References":
            yield f"References: {' '.join(lines)}\n"
        elif title != "Makes":
            yield f"{title}:\n"
            yield from (f"- {line}" for line in lines)
            yield ""


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (titles, ["---"] * len(titles), *rows):
        yield f"| {' | '.join(cells)} |"
    yield ""


def _row(row: Row) -> tuple[str, str, str, str]:
    default = row.default if row.default in ("required", "none") else f"`{_cell(row.default)}`"
    return f"`{row.setting}`", f"`{_cell(row.type)}`", default, _cell(row.meaning).replace("<", "&lt;")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _summary(method: Method) -> str:
    return summarise(method.entry_point).text


def _anchor(method: Method) -> str:
    """Of the heading `kind.name`, as GitHub and most others make it."""
    return method.key.replace(".", "")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(catalogue(Registry(OURS)), encoding="utf-8")
