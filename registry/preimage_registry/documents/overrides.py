"""`--set key=value`: values of the command line over those of a file."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from preimage.errors import RequestError
from preimage_registry.documents.mistakes import Key
from preimage_registry.documents.source import Source
from preimage_registry.documents.toml_keys import read_toml_key


def override(source: Source, assignments: Iterable[str]) -> Source:
    """Return the source with values such as `solver.max_iter=80` or `prior.1.weight=2` put in.

    A value is TOML, else it is text. List indices count from 1; one more than the list has adds an element.

    Raises
    ------
    RequestError : an assignment has no key or no `=`, or its key leads nowhere.
    """
    values = copy.deepcopy(dict(source.values))
    given = set(source.given)
    for assignment in assignments:
        names, value = _parse(assignment)
        given.add(_put(values, names, value))
    return replace(source, values=values, given=frozenset(given))


def _parse(assignment: str) -> tuple[tuple[str, ...], Any]:
    try:
        names, end = read_toml_key(assignment)
    except ValueError:
        names, end = (), 0
    if not names or assignment[end : end + 1] != "=":
        raise RequestError(f"--set {assignment}: write key=value, such as solver.max_iter=80 or prior.1.weight=2")
    text = assignment[end + 1 :].strip()
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return names, text
    return names, read["value"] if len(read) == 1 else text  # text that goes on with further keys is no value


def _put(values: dict[str, Any], names: tuple[str, ...], value: Any) -> Key:
    """Put a value in, with the tables that lead to it; return the key of the outermost that is new."""
    key: Key = ()
    given: Key = ()
    inside: Any = values
    for i, name in enumerate(names):
        step: Any = _step(inside, name, names)
        key = (*key, step)
        new = step == len(inside) if isinstance(inside, list) else step not in inside
        if new and isinstance(inside, list):
            inside.append(None)
        given = given or (key if new else ())
        if i == len(names) - 1:
            inside[step] = value
        elif new:
            inside[step] = [] if names[i + 1].isdigit() else {}
        inside = inside[step]
    return given or key


def _step(inside: Any, name: str, names: tuple[str, ...]) -> str | int:
    """The key or index by which a name enters a table or a list; a list may grow by one."""
    whole = ".".join(names)
    if isinstance(inside, dict):
        return name
    if not isinstance(inside, list):
        raise RequestError(f"--set {whole}: there is nothing in {inside!r} to be called {name!r}")
    if not name.isdigit() or not 1 <= int(name) <= len(inside) + 1:
        among = f"1 to {len(inside)}, or {len(inside) + 1} to add one" if inside else "1"
        raise RequestError(f"--set {whole}: {name!r} stands for an element of a list: write its number, {among}")
    return int(name) - 1
