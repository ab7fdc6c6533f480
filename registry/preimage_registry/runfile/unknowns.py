"""Whether priors are for unknowns that the operator has, by their names, before any data are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from preimage_registry.bound import BoundMethod
from preimage_registry.documents import Mistake, did_you_mean


def strange_unknowns(parts: Mapping[str, Sequence[BoundMethod]]) -> Iterator[Mistake]:
    """Yield a mistake for every prior that is on an unknown that is not there."""
    from preimage.unknowns import no_such_unknown  # imports torch, as the operator itself has done

    operator = parts["operator"][0]
    unknowns = unknowns_of(operator)
    for i, prior in enumerate(parts["prior"]):
        if prior.on is not None and prior.on not in unknowns:
            message = no_such_unknown(prior.on, unknowns, f"operator {operator.name}")
            yield Mistake(("prior", i, "on"), message + did_you_mean(prior.on, unknowns))


def unknowns_of(operator: BoundMethod) -> tuple[str, ...]:
    """Names of the unknowns, as the operator says them before data are read; none where there is only one."""
    return tuple(operator.ask("preimage_unknowns") or ())
