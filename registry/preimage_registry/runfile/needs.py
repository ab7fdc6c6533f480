"""Whether solvers get what they need, from the declarations of the other parts, before any data are read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from preimage.errors import PluginError
from preimage.settings import Settings
from preimage_registry.bound import BoundMethod
from preimage_registry.discovery import Method
from preimage_registry.loading import Plugin
from preimage_registry.registry import Registry
from preimage_registry.runfile.uses import Use

if TYPE_CHECKING:
    from preimage.solving.needs import Given


def unmet_needs(use: Use, registry: Registry) -> str:
    """What a solver lacks and which solvers would fit in its place, in one line; empty if it lacks nothing.

    Raises
    ------
    PluginError : the solver says nothing of its needs.
    """
    lacks = use.given.unmet(_needs(use.part, use.made))
    if not lacks:
        return ""
    fitting = [
        _told(method, use.part, registry)
        for method in registry.methods
        if method.kind == "solver" and not method.blocked and _fits(method, use.given, registry)
    ]
    fit = f"solvers that fit: {', '.join(fitting)}" if fitting else "no installed solver fits"
    return f"{use.part.name} cannot be used here: {'; '.join(lacks)} ({fit})"


def _needs(part: BoundMethod, made: Any) -> Any:
    if not hasattr(made, "needs"):
        raise PluginError(f"{part.plugin.method} is broken: its solver has no `needs`")
    return made.needs


def _fits(method: Method, given: Given, registry: Registry) -> bool:
    """Whether a solver would be content with what is given, with settings that are typical of it."""
    try:
        plugin = registry.load(method)
        parts = (BoundMethod(plugin, settings, registry) for settings in _typical(plugin, registry))
        return any(not given.unmet(_needs(part, part.make())) for part in parts)
    except Exception:  # a plugin may raise anything, and this one was not asked for
        return False


def _typical(plugin: Plugin, registry: Registry) -> Iterator[Settings]:
    """The default settings, or those of the examples where some have no default."""
    try:
        yield plugin.settings()
    except ValidationError:
        with tempfile.TemporaryDirectory() as folder:
            for settings, _ in registry.call(plugin, "preimage_examples", {"folder": Path(folder)}) or ():
                yield settings


def _told(method: Method, instead_of: BoundMethod, registry: Registry) -> str:
    name = method.name if registry.why(method) == "used" else method.full_name
    return f"{name} with other settings" if method == instead_of.plugin.method else name
