"""Parts that offer what is asked of them and nothing more, and note what is used of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from preimage.movable import Movable
from preimage.operators import LinearOperator, Norm, Operator


class _OnlyApplied(Operator):
    """An operator that can be applied and differentiated."""

    def __init__(self, inner: Any, used: set[str]) -> None:
        super().__init__(inner.domain, inner.codomain)
        self.inner = inner
        self.used = used

    def _apply(self, x: Any) -> Any:
        return self.inner(x)


class _OnlyLinear(LinearOperator):
    """An operator that has an adjoint as well."""

    composite = True

    def __init__(self, inner: Any, used: set[str]) -> None:
        super().__init__(inner.domain, inner.codomain)
        self.inner = inner
        self.used = used

    def _apply(self, x: Any) -> Any:
        return self.inner(x)

    def _apply_adjoint(self, y: Any) -> Any:
        return self.inner.adjoint(y)

    def _bound(self) -> Norm:
        norm: Norm = self.inner.norm()
        return norm


class _OnlyThere(Movable):
    """A prior or a likelihood that can do nothing."""

    def __init__(self, inner: Any, used: set[str]) -> None:
        self.inner = inner
        self.used = used


def only_operator(operator: Any, capabilities: Iterable[type], used: set[str]) -> Operator:
    """An operator with these capabilities alone; all but `Operator` itself are of linear operators.

    Parameters
    ----------
    used : to which the names of the capabilities' methods that are called are added.
    """
    capabilities = tuple(capabilities)
    base: Any = _OnlyApplied if set(capabilities) <= {Operator} else _OnlyLinear
    return _with_methods(base, capabilities)(operator, used)  # type: ignore[no-any-return]


def only_part(part: Any, capabilities: Iterable[type], used: set[str]) -> Any:
    """A prior or a likelihood with these capabilities alone."""
    return _with_methods(_OnlyThere, capabilities)(part, used)


def methods(capability: type) -> set[str]:
    """The public methods that a protocol names; a class is no protocol and names none."""
    if not getattr(capability, "_is_protocol", False):
        return set()
    return {name for name, member in vars(capability).items() if not name.startswith("_") and callable(member)}


def _with_methods(base: type, capabilities: Iterable[type]) -> Any:
    names = sorted({name for capability in capabilities for name in methods(capability)})
    return type("Restricted", (base,), {name: _handed_on(name) for name in names})


def _handed_on(name: str) -> Callable[..., Any]:
    def method(self: Any, *arguments: Any) -> Any:
        self.used.add(name)
        return getattr(self.inner, name)(*arguments)

    return method
