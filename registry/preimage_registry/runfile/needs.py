"""Whether a solver gets what it needs, from the declarations of the other parts, before any data are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from preimage.errors import PluginError
from preimage_registry.bound import BoundMethod
from preimage_registry.discovery import Method
from preimage_registry.registry import Registry


def unmet_needs(parts: Mapping[str, Sequence[BoundMethod]], registry: Registry) -> str:
    """What the solver lacks and which solvers would fit, in one line; empty if it lacks nothing.

    Raises
    ------
    PluginError : the solver says nothing of its needs.
    """
    from preimage.solving import unmet  # imports torch, as the solver itself has done

    declared = (
        parts["operator"][0].declared,
        [prior.declared for prior in parts["prior"]],
        parts["likelihood"][0].declared,
    )
    solver = parts["solver"][0]
    lacks = unmet(_needs(solver), *declared)
    if not lacks:
        return ""
    fitting = []
    for method in registry.methods:
        if method.kind == "solver" and not method.blocked:
            needs = _needs_by_default(method, registry)
            if needs is not None and not unmet(needs, *declared):
                fitting.append(_unambiguous(method, registry))
    fit = f"solvers that fit: {', '.join(fitting)}" if fitting else "no installed solver fits"
    return f"{solver.name} cannot be used here: {'; '.join(lacks)} ({fit})"


def _needs(solver: BoundMethod) -> Any:
    made = solver.make()
    if not hasattr(made, "needs"):
        raise PluginError(f"{solver.plugin.method} is broken: its solver has no `needs`")
    return made.needs


def _needs_by_default(method: Method, registry: Registry) -> Any | None:
    """What a solver needs with its default settings; None where it has none or is broken."""
    try:
        plugin = registry.load(method)
        return _needs(BoundMethod(plugin, plugin.settings(), registry))
    except (PluginError, ValidationError):
        return None
    except Exception:  # a plugin's factory may raise anything, and this one was not asked for
        return None


def _unambiguous(method: Method, registry: Registry) -> str:
    return method.name if registry.why(method) == "used" else method.full_name
