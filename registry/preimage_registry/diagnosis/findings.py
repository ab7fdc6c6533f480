"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes
    ----------
    about : what was looked at.
    found : what it is.
    cure : what to do about it; empty where all is well.
    """

    about: str
    found: str
    cure: str = ""

    @property
    def state(self) -> str:
        """`ok` or `warning`."""
        return "warning" if self.cure else "ok"
