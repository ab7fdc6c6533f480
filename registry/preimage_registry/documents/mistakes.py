"""What is wrong with a request: keys with messages, all of them told at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from preimage.errors import RequestError

Key = tuple[str | int, ...]
"""Where a value stands: `("prior", 0, "weight")` is what a user writes as `prior.1.weight`."""


class Mistake(NamedTuple):
    """One thing that is wrong."""

    key: Key
    message: str


class Mistakes(RequestError):
    """All that is wrong with a request, one line each.

    Parameters
    ----------
    found : the mistakes.
    lines : how each is told; by default as `key: message`.
    """

    def __init__(self, found: Sequence[Mistake], lines: Iterable[str] | None = None) -> None:
        self.found = tuple(found)
        super().__init__("\n".join(told(one) for one in found) if lines is None else "\n".join(lines))


def told(mistake: Mistake) -> str:
    """`key: message`, or the message alone where it is about the whole."""
    return f"{dotted(mistake.key)}: {mistake.message}" if mistake.key else mistake.message


def dotted(key: Key) -> str:
    """The key as a user writes it: list indices count from 1, odd names are quoted."""
    return ".".join(str(part + 1) if isinstance(part, int) else _quoted(part) for part in key)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """` (did you mean 'weight'?)`, or nothing where no choice is close."""
    close = difflib.get_close_matches(word, list(choices), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else repr(name)
