"""Asking a part, or its declaration, whether it offers a capability."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any


def offers(part: Any, capability: Any) -> Any | None:
    """Return an object with the capability's methods for this part, or None if it does not offer it.

    The part itself, where it has them; else what it derives: a wrapper such as 2·A has a method
    `derive(capability)`, which builds the capability from the part it wraps or returns None. For a plain
    class (`LinearOperator`, `Gaussian`), return the part if it is an instance.
    """
    if isinstance(part, capability):
        return part
    derive = getattr(part, "derive", None)
    return derive(capability) if derive is not None else None


def declares(declared: Any, capability: Any) -> bool:
    """Whether a declared type, a class or a union of classes, may offer a capability: any member of it does."""
    if declared is Any:
        return True
    return any(_is_subclass(member, capability) for member in members(declared))


def members(declared: Any) -> tuple[Any, ...]:
    """The members of a union, or the type alone."""
    if isinstance(declared, types.UnionType) or typing.get_origin(declared) is typing.Union:
        return typing.get_args(declared)
    return (declared,)


def declared_type(factory: Callable[..., Any]) -> Any:
    """The return annotation of a factory: the declaration of what its parts can do."""
    if "return" not in factory.__annotations__:
        return Any
    # Only the return annotation is resolved: those of the arguments may name what is imported for type checkers alone.
    only_return = types.SimpleNamespace(__annotations__={"return": factory.__annotations__["return"]})
    return typing.get_type_hints(only_return, globalns=factory.__globals__)["return"]


def _is_subclass(member: Any, capability: Any) -> bool:
    return isinstance(member, type) and any(issubclass(member, one) for one in members(capability))
