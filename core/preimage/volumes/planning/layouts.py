"""How the arrays that a stage writes are laid out: each write unit has one writer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from preimage.errors import RequestError
from preimage.space import AnySpace, ProductSpace, Space
from preimage.volumes.planning.grouping import Group
from preimage.volumes.planning.plan import ArrayPlan, StagePlan


def outputs(group: Group, block: Mapping[str, int], consumer: StagePlan | None) -> dict[str, ArrayPlan]:
    """The arrays that a group writes, by name.

    Parameters
    ----------
    consumer : the stage that reads them next; None for the last.
    """
    if group.solves:
        return {
            name: _array(space.dims, space.shape, str(space.dtype).removeprefix("torch."), block)
            for name, space in estimate_spaces(group.resolved.domain).items()
        }
    plans: dict[str, ArrayPlan] = {}
    for element in group.elements:
        for name in element.outputs:
            found = element.after[name]
            dims, shape = tuple(map(str, found.dims)), tuple(found.shape)
            plans[name] = _array(dims, shape, str(found.dtype), block, consumer.block if consumer else {})
    return plans


def estimate_spaces(domain: AnySpace) -> dict[str, Space]:
    """Name of the array of every unknown: `estimate`, or one `estimate_<name>` each."""
    if isinstance(domain, ProductSpace):
        return {f"estimate_{name}": space for name, space in domain.items()}
    return {"estimate": domain}


def _array(
    dims: Sequence[str],
    shape: Sequence[int],
    dtype: str,
    block: Mapping[str, int],
    consumer: Mapping[str, int] | None = None,
) -> ArrayPlan:
    """An array whose write unit is the block; with a consumer, chunks are what it and the producer share."""
    unit = [block.get(dim, n) for dim, n in zip(dims, shape, strict=True)]
    if not consumer:
        return ArrayPlan(tuple(dims), tuple(shape), dtype, tuple(unit))
    chunk = [math.gcd(n, m) if n < full else min(n, m) for n, m, full in _pairs(dims, shape, unit, consumer)]
    shard = [math.ceil(n / c) * c for n, c in zip(unit, chunk, strict=True)]  # beyond the edge there is nothing
    return ArrayPlan(tuple(dims), tuple(shape), dtype, tuple(chunk), tuple(shard))


def _pairs(
    dims: Sequence[str], shape: Sequence[int], unit: Sequence[int], consumer: Mapping[str, int]
) -> list[tuple[int, int, int]]:
    return [(n, consumer.get(dim, n), full) for dim, full, n in zip(dims, shape, unit, strict=True)]


def check_write_units(stage: StagePlan) -> None:
    """Refuse blocks that are not whole write units of every output: two writers in one lose data.

    Raises
    ------
    RequestError : names the output and the dim.
    """
    for name, array in stage.outputs.items():
        for dim, n, unit in zip(array.dims, array.shape, array.write_unit, strict=True):
            length = stage.block.get(dim, n)
            if length < n and length % unit:
                raise RequestError(
                    f"blocks of {length} along {dim!r} are no whole write units of {name}, which are {unit}: "
                    f"choose a multiple of {unit}"
                )
