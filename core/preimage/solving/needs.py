"""What a solver needs of the other parts, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from preimage.offers import declares, members, offers
from preimage.operators import Operator


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


def unmet(needs: Needs, operator: Any, priors: Sequence[Any], likelihood: Any) -> list[str]:
    """What is missing, one sentence a lack; empty if nothing is.

    Parts are instances, or, before any data are read, the declared types of their factories. A declared
    union meets a need if any of its members does.
    """
    lacks = [f"the operator ({_name(operator)}) is no {_name(c)}" for c in needs.operator if not _has(operator, c)]
    lacks += [
        f"the likelihood ({_name(likelihood)}) is no {_name(c)}" for c in needs.likelihood if not _has(likelihood, c)
    ]
    if len(priors) not in needs.priors:
        lacks.append(f"it takes {_count(needs.priors)}, there {_are(len(priors))}")
    for i, prior in enumerate(priors, 1):
        lacks += [f"prior {i} ({_name(prior)}) is no {_name(c)}" for c in needs.prior if not _has(prior, c)]
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
