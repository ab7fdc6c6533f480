"""What a solver needs of the other parts, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
from typing import Any

from preimage.offers import declared_type, declares, members, offers
from preimage.operators import LinearOperator, Operator


@dataclass(frozen=True)
class Needs:
    """Classes and capabilities that a solver asks for; `A | B` asks for either.

    Attributes
    ----------
    operator : all of these of the operator.
    prior : all of these of every prior.
    priors : how many priors it takes.
    likelihood : all of these of the likelihood.
    """

    operator: tuple[Any, ...] = (Operator,)
    prior: tuple[Any, ...] = ()
    priors: range = range(1)
    likelihood: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Given:
    """What a solver is going to be given, by the declared types of the factories, before any data are read.

    Attributes
    ----------
    priors : by their numbers in the run.
    unknowns : names of the unknowns; none where there is only one.
    on : for each prior, by its number, the unknown that it is for; None where it is for all, or there is only one.
    """

    operator: Any
    priors: Mapping[int, Any]
    likelihood: Any
    unknowns: tuple[str, ...] = ()
    on: Mapping[int, str | None] = field(default_factory=dict)

    def unmet(self, needs: Needs) -> list[str]:
        """What is missing, one sentence a lack."""
        return unmet(needs, self.operator, self.priors, self.likelihood)

    def of(self, unknown: str) -> Given:
        """What is left for one unknown while the others are held."""
        priors = {number: prior for number, prior in self.priors.items() if self.on[number] == unknown}
        return Given(_fixed(self.operator), priors, self.likelihood, (), dict.fromkeys(priors))

    def without_priors(self) -> Given:
        """The same for a solver that gets no prior."""
        return replace(self, priors={}, on={})


def _fixed(declared: Any) -> Any:
    """What an operator is declared to be when all unknowns but one are held: what its `fix` is annotated to return."""
    found = [_returned(getattr(member, "fix", None)) for member in members(declared)]
    return Any if Any in found else reduce(or_, found)


def _returned(fix: Any) -> Any:
    if fix is Operator.fix:  # its annotation is for type checkers alone
        return LinearOperator
    try:
        return Any if fix is None else declared_type(fix)
    except NameError:  # imported for type checkers alone: what it can do is seen when it is made
        return Any


def unmet(needs: Needs, operator: Any, priors: Sequence[Any] | Mapping[int, Any], likelihood: Any) -> list[str]:
    """What is missing, one sentence a lack; empty if nothing is.

    Parts are instances, or, before any data are read, the declared types of their factories. A declared
    union meets a need if any of its members does. Priors are by their numbers where these are not 1, 2, 3.
    """
    numbered = priors if isinstance(priors, Mapping) else dict(enumerate(priors, 1))
    lacks = [f"the operator ({_name(operator)}) is no {_name(c)}" for c in needs.operator if not _has(operator, c)]
    lacks += [
        f"the likelihood ({_name(likelihood)}) is no {_name(c)}" for c in needs.likelihood if not _has(likelihood, c)
    ]
    if len(priors) not in needs.priors:
        lacks.append(f"it takes {_count(needs.priors)}, there {_are(len(priors))}")
    for number, prior in numbered.items():
        lacks += [f"prior {number} ({_name(prior)}) is no {_name(c)}" for c in needs.prior if not _has(prior, c)]
    return lacks


def _is_type(part: Any) -> bool:
    return part is Any or isinstance(part, type) or len(members(part)) > 1


def _has(part: Any, capability: Any) -> bool:
    if _is_type(part):
        return declares(part, capability)
    return any(offers(part, one) is not None for one in members(capability))


def _name(part: Any) -> str:
    if _is_type(part):
        return " or ".join(getattr(member, "__name__", str(member)) for member in members(part))
    return type(part).__name__


def _are(n: int) -> str:
    return {0: "is none", 1: "is 1"}.get(n, f"are {n}")


def _count(numbers: range) -> str:
    low, high = numbers.start, numbers.stop - 1
    if high == 0:
        return "no prior"
    plural = "s" if high > 1 else ""
    if low == high:
        return f"exactly {low} prior{plural}"
    return f"{low} to {high} priors" if high < 100 else f"{low} or more priors"
