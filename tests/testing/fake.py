"""Methods made on the spot: modules with hooks, right or wrong, that no distribution holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from preimage.hookspecs import KINDS, hookimpl
from preimage.settings import Settings
from preimage.testing.calling import Method
from preimage.testing.examples import ByHand, Examined
from preimage.testing.law import Subject


class NoSettings(Settings):
    """Nothing can be set."""


class Wrong(NamedTuple):
    """A wrong implementation, and what is said of it."""

    subject: Callable[[Path], Subject]
    says: str


def module(kind: str, make: Callable[..., Any], examples: list[tuple[Any, Any]] | None, **names: Any) -> ModuleType:
    """A module of one method. `names` replaces what it has: None takes it away, and functions are marked as hooks."""
    found = ModuleType("fakes.method")

    def preimage_examples() -> list[tuple[Any, Any]]:
        return examples or []

    contents = {"__doc__": "A method.", "Settings": NoSettings, KINDS[kind].factory: make}
    contents |= {"preimage_examples": preimage_examples} | names
    for name, value in contents.items():
        if value is not None:
            setattr(found, name, hookimpl(value) if name.startswith("preimage_") else value)
    return found


def method(kind: str, make: Callable[..., Any], examples: Any, **names: Any) -> Callable[[Path], Examined]:
    """The method of such a module, with its examples."""
    return lambda folder: Examined(Method(kind, module(kind, make, examples, **names)), folder)


def by_hand(*examples: Any) -> Callable[[Path], ByHand]:
    """Examples that no method made."""
    return lambda folder: ByHand(list(examples))
