"""Unknowns by their names: a run file calls them as the operator does."""

from __future__ import annotations

from collections.abc import Sequence

from preimage.errors import DataError
from preimage.space import AnySpace, ProductSpace


def unknowns_of(domain: AnySpace) -> tuple[str, ...]:
    """Names of the unknowns; none where there is only one."""
    return tuple(domain) if isinstance(domain, ProductSpace) else ()


def told(unknowns: Sequence[str]) -> str:
    """What unknowns there are, for messages."""
    return f"the unknowns are {', '.join(unknowns)}" if unknowns else "there is one unknown, without a name"


def no_such_unknown(name: str, unknowns: Sequence[str], who: str = "the operator") -> str:
    """What is said of a name that none of the operator's unknowns has."""
    others = f"those of {who} are {', '.join(unknowns)}" if unknowns else f"{who} has one, without a name"
    return f"there is no unknown {name!r}: {others}"


def unknown(domain: AnySpace, on: str | None) -> AnySpace:
    """The space of the unknown that a prior is for.

    Raises
    ------
    DataError : there is no such unknown.
    """
    if on is None:
        return domain
    if not isinstance(domain, ProductSpace) or on not in domain:
        raise DataError(f"a prior is on {on!r}: {no_such_unknown(on, unknowns_of(domain))}")
    return domain[on]
