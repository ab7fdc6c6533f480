"""Where each key of a JSON text stands; json reads the values, this only finds lines."""

from __future__ import annotations

import json
import re
from bisect import bisect_left

from preimage_registry.documents.mistakes import Key

_TOKEN = re.compile(r'\s*("(?:\\.|[^"\\])*"|[{}\[\],:]|[^\s{}\[\],:"]+)', re.DOTALL)


def json_lines(text: str) -> dict[Key, int]:
    """Return the line, from 1, of every key and array element of a valid JSON text."""
    line_ends = [match.start() for match in re.finditer("\n", text)]
    tokens = [(match[1], bisect_left(line_ends, match.start(1)) + 1) for match in _TOKEN.finditer(text)]
    lines: dict[Key, int] = {}
    _value(tokens, 0, (), lines)
    return lines


def _value(tokens: list[tuple[str, int]], i: int, key: Key, lines: dict[Key, int]) -> int:
    """Mark what stands in the value that begins at token i; return the token after it."""
    opening = tokens[i][0]
    if opening not in ("{", "["):
        return i + 1
    closing = "}" if opening == "{" else "]"
    i += 1
    index = 0
    while tokens[i][0] != closing:
        token, line = tokens[i]
        inner: Key = (*key, json.loads(token) if opening == "{" else index)
        lines[inner] = line
        i = _value(tokens, i + 2 if opening == "{" else i, inner, lines)  # a key is followed by a colon
        i += tokens[i][0] == ","
        index += 1
    return i + 1
