"""Where each key of a TOML text stands; tomllib reads the values, this only finds lines."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left

from preimage_registry.documents.mistakes import Key

_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")  # blanks, line ends and comments
_SIMPLE_KEY = re.compile(r'"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'|[A-Za-z0-9_-]+")
_STRING = re.compile(
    # One or two quotes may stand right before the three that close: they belong to the string.
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")' + r"|'''.*?'{3,5}(?!')" + r'|"(?:\\.|[^"\\\n])*"' + r"|'[^'\n]*'",
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}#\n]+")  # a number, a boolean or a date


def toml_lines(text: str) -> dict[Key, int]:
    """Return the line, from 1, of every key, table and array element of a valid TOML text.

    A table or an array of tables has the line on which it is first named.
    """
    return _Scanner(text).lines


def read_toml_key(text: str, position: int = 0) -> tuple[tuple[str, ...], int]:
    """Return the dotted key that begins at a position, its quotes and escapes resolved, and where it ends.

    Raises
    ------
    ValueError : there is no key.
    """
    parts = []
    while True:
        position = _end(_BLANK, text, position)
        match = _SIMPLE_KEY.match(text, position)
        if match is None:
            raise ValueError(f"a key is expected at {text[position:]!r}")
        parts.append(_name(match[0]))
        position = _end(_BLANK, text, match.end())
        if text[position : position + 1] != ".":
            return tuple(parts), position
        position += 1


def _name(written: str) -> str:
    return next(iter(tomllib.loads(f"{written} = 0"))) if written[0] in "\"'" else written


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return position if match is None else match.end()


class _Scanner:
    """One pass over the text, by recursive descent; what tomllib accepted needs no second opinion."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines: dict[Key, int] = {}
        self._line_ends = [match.start() for match in re.finditer("\n", text)]
        self._lengths: dict[Key, int] = {}  # of the arrays of tables so far
        self._document()

    def _document(self) -> None:
        table: Key = ()
        position = _end(_GAP, self.text, 0)
        while position < len(self.text):
            if self.text[position] == "[":
                table, position = self._header(position)
            else:
                position = self._pair(table, position)
            position = _end(_GAP, self.text, position)

    def _header(self, position: int) -> tuple[Key, int]:
        """`[a.b]` or `[[a.b]]`: the key of the table that begins."""
        brackets = 2 if self.text.startswith("[[", position) else 1
        names, end = read_toml_key(self.text, position + brackets)
        key: Key = ()
        for i, name in enumerate(names, 1):
            key = (*key, name)
            self._mark(key, position)
            if brackets == 2 and i == len(names):
                self._lengths[key] = self._lengths.get(key, 0) + 1
            if key in self._lengths:  # the header speaks of the array's last element
                key = (*key, self._lengths[key] - 1)
                self._mark(key, position)
        return key, end + brackets

    def _pair(self, table: Key, position: int) -> int:
        """`a.b = value`, up to the value's end."""
        names, end = read_toml_key(self.text, position)
        key = table
        for name in names:
            key = (*key, name)
            self._mark(key, position)
        return self._value(key, _end(_BLANK, self.text, end + 1))  # after the =

    def _value(self, key: Key, position: int) -> int:
        first = self.text[position : position + 1]
        if first == "[":
            return self._array(key, position + 1)
        if first == "{":
            return self._inline_table(key, position + 1)
        match = (_STRING if first in ('"', "'") else _PLAIN).match(self.text, position)
        if match is None:  # cannot be where tomllib read a value; going on would never end
            raise ValueError(f"a value is expected at {self.text[position : position + 20]!r}")
        return match.end()

    def _array(self, key: Key, position: int) -> int:
        index = 0
        while not self._closes("]", position := _end(_GAP, self.text, position)):
            element = (*key, index)
            self._mark(element, position)
            position = self._after_comma(self._value(element, position))
            index += 1
        return position + 1

    def _inline_table(self, key: Key, position: int) -> int:
        while not self._closes("}", position := _end(_GAP, self.text, position)):
            position = self._after_comma(self._pair(key, position))
        return position + 1

    def _closes(self, bracket: str, position: int) -> bool:
        return position >= len(self.text) or self.text[position] == bracket

    def _after_comma(self, position: int) -> int:
        position = _end(_GAP, self.text, position)
        return position + 1 if self.text[position : position + 1] == "," else position

    def _mark(self, key: Key, position: int) -> None:
        self.lines.setdefault(key, bisect_left(self._line_ends, position) + 1)
