"""Reading a document: its values, and how a mistake at one of its keys is told."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from preimage.errors import RequestError
from preimage_registry.documents.json_keys import json_lines
from preimage_registry.documents.mistakes import Key, Mistake, Mistakes, dotted, told
from preimage_registry.documents.toml_keys import toml_lines


@dataclass(frozen=True)
class Source:
    """A document.

    Attributes
    ----------
    values : its content.
    label : the file as the user named it; empty where the values come from Python.
    lines : the line, from 1, of every key that the file has.
    given : keys that the command line set by `--set`.
    """

    values: Mapping[str, Any]
    label: str = ""
    lines: Mapping[Key, int] = field(default_factory=dict)
    given: frozenset[Key] = frozenset()

    def mistakes(self, found: Iterable[Mistake]) -> Mistakes:
        """All mistakes as one error, in the order of the file; those of `--set` come last."""
        ordered = sorted(found, key=lambda mistake: self._line(mistake.key))
        return Mistakes(ordered, [self._place(mistake.key) + told(mistake) for mistake in ordered])

    def place(self, key: Key) -> str:
        """Where a key stands, such as `scan.toml:14: prior.1`, to begin a message with."""
        return self._place(key) + dotted(key)

    def _place(self, key: Key) -> str:
        if self._line(key) == _AFTER_ALL:
            return "--set "
        if not self.label:
            return ""
        return f"{self.label}:{self._line(key):.0f}: " if key else f"{self.label}: "

    def _line(self, key: Key) -> float:
        """The line of the key, or of the nearest one round it that is written."""
        round_it = [key[:end] for end in range(len(key), 0, -1)]
        if not self.given.isdisjoint(round_it):  # what the file says there was replaced
            return _AFTER_ALL
        return next((self.lines[one] for one in round_it if one in self.lines), 1)


_AFTER_ALL = float("inf")


def read_source(path: Path) -> Source:
    """Read a TOML file, or a JSON file if its name ends in .json.

    Raises
    ------
    RequestError : there is no such file, it is no text, or its syntax is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RequestError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: it is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise RequestError(f"{path}: it cannot be read: {error.strerror}") from None
    try:
        if path.suffix == ".json":
            return Source(_read_json(text, str(path)), str(path), json_lines(text))
        return Source(_read_toml(text, str(path)), str(path), toml_lines(text))
    except RecursionError:
        raise RequestError(f"{path}: it is nested too deeply") from None


def _read_toml(text: str, label: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what = str(error)
        at = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", what, re.DOTALL)
        if at is None:
            raise RequestError(f"{label}: {what}") from None
        line = int(at[2]) if at[2] else text.rstrip("\n").count("\n") + 1
        raise RequestError(f"{label}:{line}: {at[1]}") from None


def _read_json(text: str, label: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise RequestError(f"{label}: the key {dotted((twice,))} is there twice")
        return dict(pairs)

    try:
        values = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise RequestError(f"{label}:{error.lineno}: {error.msg}") from None
    if not isinstance(values, dict):
        raise RequestError(f"{label}: an object is expected, {{ ... }}")
    return values
