"""Whether priors and the solver are for unknowns that the operator has, by their names, before any data are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from preimage.errors import RequestError
from preimage_registry.bound import BoundMethod
from preimage_registry.documents import Mistake, did_you_mean


def strange_unknowns(parts: Mapping[str, Sequence[BoundMethod]]) -> Iterator[Mistake]:
    """Yield a mistake for every prior that is on an unknown that is not there."""
    from preimage.unknowns import no_such_unknown  # imports torch, as the operator itself has done

    operator = parts["operator"][0]
    unknowns = _unknowns(operator)
    for i, prior in enumerate(parts["prior"]):
        if prior.on is not None and prior.on not in unknowns:
            message = no_such_unknown(prior.on, unknowns, f"operator {operator.name}")
            yield Mistake(("prior", i, "on"), message + did_you_mean(prior.on, unknowns))


def refusal(parts: Mapping[str, Sequence[BoundMethod]]) -> str:
    """What the solver has against the unknowns, or the priors on them; empty if nothing."""
    solver = parts["solver"][0].make()
    if not hasattr(solver, "check_unknowns"):
        return ""
    try:
        solver.check_unknowns(_unknowns(parts["operator"][0]), tuple(prior.on for prior in parts["prior"]))
    except RequestError as error:
        return str(error)
    return ""


def _unknowns(operator: BoundMethod) -> tuple[str, ...]:
    return tuple(operator.ask("preimage_unknowns") or ())
