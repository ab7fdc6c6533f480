"""A row of the table: what was found, what is asked for, and by how much it is missed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

HEADS = ("of", "what", "found", "target", "")
N_TEXTS = 2
"""So many of them are texts, on the left; the others are numbers."""


@dataclass(frozen=True)
class Row:
    """One number.

    Attributes
    ----------
    of, what : of what something is measured, and what that is.
    found : the number.
    unit : after it.
    at_most, at_least : the target, if there is one.
    form : in which it is written.
    """

    of: str
    what: str
    found: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    form: str = ".2f"

    @property
    def value(self) -> str:
        """With its unit."""
        return self._said(self.found)

    @property
    def target(self) -> str:
        """Such as ≤ 1.25; empty where there is none."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}{self._unit}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}{self._unit}"

    @property
    def verdict(self) -> str:
        """Whether the target was met, or by how much it was missed."""
        if self.at_most is not None:
            missed, how = self.found - self.at_most, "over"
        elif self.at_least is not None:
            missed, how = self.at_least - self.found, "under"
        else:
            return ""
        return "met" if missed <= 0 else f"missed: {self._said(missed)} {how}"

    def _said(self, number: float) -> str:
        return f"{number:{self.form}}{self._unit}"

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""


def cells(rows: Iterable[Row]) -> Iterator[tuple[str, ...]]:
    """The cells of each; what they are of is said once."""
    last = ""
    for row in rows:
        yield ("" if row.of == last else row.of, row.what, row.value, row.target, row.verdict)
        last = row.of
