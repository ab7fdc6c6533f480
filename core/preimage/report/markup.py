"""HTML from elements: what is not an element is text, and is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""Characters that an HTML document must not hold."""


class Markup(str):
    """A piece of HTML."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | int) -> Markup:
    """An element.

    Parameters
    ----------
    children : elements, or text that is escaped.
    attributes : values are escaped; of names a last `_` is dropped, others become `-`, as in class_ or http_equiv.
    """
    names = {key: key.removesuffix("_").replace("_", "-") for key in attributes}
    told = "".join(f' {names[key]}="{escaped(str(value))}"' for key, value in attributes.items())
    closing = "" if name in ("img", "meta") else f"{joined(children)}</{name}>"
    return Markup(f"<{name}{told}>{closing}")


def joined(children: Iterable[str]) -> Markup:
    """Elements and text one after the other."""
    return Markup("".join(child if isinstance(child, Markup) else escaped(child) for child in children))


def escaped(text: str) -> Markup:
    """Text as it is written in HTML, between elements and in attributes."""
    return Markup(html.escape(_FORBIDDEN.sub("\ufffd", text)))


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, named: bool = True) -> Markup:
    """A table with its titles.

    Parameters
    ----------
    named : whether the first cell of a row is its title.
    """
    head = element("tr", *(element("th", title, scope="col") for title in titles))
    whole = element("table", element("thead", head), element("tbody", *(_row(row, named) for row in rows)))
    return element("div", whole, class_="wide")


def _row(cells: Sequence[str], named: bool) -> Markup:
    first = [element("th", cells[0], scope="row")] if named else []
    return element("tr", *first, *(element("td", cell) for cell in cells[len(first) :]))
