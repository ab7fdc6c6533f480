"""Making the plan: stages, block lengths, layouts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from preimage.declarations import Axis, Memory
from preimage.errors import RequestError
from preimage.parts import Part
from preimage.run_settings import ComputeSettings
from preimage.space import AnySpace, ProductSpace, Space
from preimage.units import format_bytes
from preimage.volumes.axes import chained, split_dims
from preimage.volumes.plan import ArrayPlan, Plan, StagePlan
from preimage.volumes.resolve import Element, Resolved
from preimage.volumes.scalars import run_scalars

PROCESS = 555 * 2**20
"""Bytes of a worker's process before it has read anything: Python, torch, zarr."""
USABLE = 0.75
"""Share of the memory that a plan relies on."""
UNDECLARED = Memory(fixed=40 * 2**20, per_input=10.0)
"""What a chain is taken to need if no part of it says."""


def make_plan(resolved: Resolved, compute: ComputeSettings) -> Plan:
    """Plan a run.

    Raises
    ------
    RequestError : `blocks` names a dim that cannot be cut, or no block fits into the memory.
    """
    groups = _stages(resolved, compute)
    stages: list[StagePlan] = []
    consumer: StagePlan | None = None
    for group in reversed(groups):
        consumer = _plan_stage(resolved, group, compute, consumer)
        stages.insert(0, consumer)
    normalise, why = normalises(resolved, compute)
    return Plan(
        stages=tuple(stages),
        scalars=tuple(run_scalars(resolved.chain, normalise)),
        normalise=normalise,
        memory=int(compute.memory),
        threads=compute.threads,
        notes=(*_proposals(resolved), why),
    )


class _Group:
    """Consecutive elements of a chain that are done block by block together."""

    def __init__(self, resolved: Resolved, last: int, solves: bool) -> None:
        self.resolved = resolved
        self.first = self.last = last
        self.solves = solves
        self.axes: Mapping[str, Axis] = resolved.axes if solves else {}
        self.fused = False

    @property
    def elements(self) -> Sequence[Element]:
        """The preparations."""
        return self.resolved.elements[self.first : self.last]

    def try_to_add(self) -> bool:
        """Put the element before the first into the group, unless nothing could be cut any more then."""
        element = self.resolved.elements[self.first - 1]
        merged = chained(self.axes, element.axes)
        could, can = self.cuttable(self.axes), self.cuttable(merged)
        alone = self.first == self.last and not self.solves
        if could and not can and not alone:
            return False
        self.axes = merged
        self.first -= 1
        return True

    def cuttable(self, axes: Mapping[str, Axis]) -> list[str]:
        """The dims of the group's output that may be cut."""
        dims = self._output_sizes()
        return [dim for dim in split_dims(axes) if dim in dims]

    def _output_sizes(self) -> Mapping[str, int]:
        if self.solves:
            return self.resolved.domain.sizes
        element = self.resolved.elements[self.last - 1]
        return {str(d): n for name in element.outputs for d, n in element.after[name].sizes.items()}

    @property
    def sizes(self) -> dict[str, int]:
        """Length of every dim that may be cut."""
        lengths = self._output_sizes()
        return {dim: lengths[dim] for dim in lengths if dim in self.cuttable(self.axes)}


def _stages(resolved: Resolved, compute: ComputeSettings) -> list[_Group]:
    """Cut the chain where whole axes conflict; leave it in one piece if that fits into the memory."""
    fused = _Group(resolved, len(resolved.elements), solves=True)
    fused.first = 0
    fused.axes = chained(resolved.axes, *(element.axes for element in resolved.elements))
    if not compute.blocks and _needs(resolved, fused, {}) <= _budget(compute):
        return [fused]
    groups = [_Group(resolved, len(resolved.elements), solves=True)]
    while groups[0].first:
        if not groups[0].try_to_add():
            groups.insert(0, _Group(resolved, groups[0].first, solves=False))
            groups[0].try_to_add()
    return groups


def _plan_stage(resolved: Resolved, group: _Group, compute: ComputeSettings, consumer: StagePlan | None) -> StagePlan:
    sizes = group.sizes
    if group.solves and compute.blocks:
        block = _asked_blocks(resolved, sizes, compute.blocks)
    else:
        block = _fitting_block(resolved, group, compute)
    sizes = {dim: sizes[dim] for dim in block}
    outputs = _outputs(resolved, group, block, consumer)
    return StagePlan(
        first=group.first,
        last=group.last,
        solves=group.solves,
        labels=tuple(e.part.name for e in group.elements) + ((resolved.chain.solver.name,) if group.solves else ()),
        sizes=sizes,
        block=block,
        outputs=outputs,
        memory=int(_needs(resolved, group, {dim: block[dim] / n for dim, n in sizes.items()})),
        bytes_read=_input_bytes(resolved, group),
        bytes_written=sum(math.prod(a.shape) * np.dtype(a.dtype).itemsize for a in outputs.values()),
    )


def _asked_blocks(resolved: Resolved, sizes: Mapping[str, int], asked: Mapping[str, int]) -> dict[str, int]:
    for dim in asked:
        if dim not in sizes:
            can = ", ".join(sizes) or "no dim"
            reason = resolved.reasons.get(dim)
            why = f"{reason} needs it whole" if reason else "there is no such dim in the unknown"
            raise RequestError(f"compute.blocks: {dim!r} cannot be cut: {why}; what can be cut here: {can}")
    return {dim: min(asked[dim], n) for dim, n in sizes.items() if dim in asked}


def _budget(compute: ComputeSettings) -> float:
    return USABLE * int(compute.memory) - PROCESS


def _fitting_block(resolved: Resolved, group: _Group, compute: ComputeSettings) -> dict[str, int]:
    """The largest block that fits: dims are halved one after the other, outermost first."""
    sizes = group.sizes
    block: dict[str, int] = {}
    budget = _budget(compute)

    def needs() -> float:
        return _needs(resolved, group, {dim: n / sizes[dim] for dim, n in block.items()})

    for dim, n in sizes.items():
        if needs() <= budget:
            break
        block[dim] = n
        while needs() > budget and block[dim] > 1:
            block[dim] = math.ceil(block[dim] / 2)
    if needs() > budget:
        smallest = format_bytes(needs() + PROCESS)
        held = "; ".join(f"{who} needs {dim} whole" for dim, who in resolved.reasons.items()) or "no dim can be cut"
        raise RequestError(
            f"compute.memory = {format_bytes(int(compute.memory))} is too little: the smallest block needs {smallest} "
            f"of the {format_bytes(USABLE * int(compute.memory))} that a plan may count on. {held}. "
            "Give it more memory, or a prior over fewer dims"
        )
    return block


def _needs(resolved: Resolved, group: _Group, fractions: Mapping[str, float]) -> float:
    """Bytes that a block is predicted to need at its peak, beside the process."""
    declared = [memory for memory in _declared_memory(resolved, group) if memory is not None]
    total = sum(declared[1:], declared[0]) if declared else UNDECLARED
    data = _data_bytes(_dataset_before(resolved, group), fractions)
    image = _image_bytes(resolved.domain, fractions) if group.solves else 0.0
    return total.fixed + total.workspace + total.per_input * data + total.per_image * image


def _declared_memory(resolved: Resolved, group: _Group) -> list[Memory | None]:
    asked: list[tuple[Part, xr.Dataset]] = [(element.part, element.before) for element in group.elements]
    if group.solves:
        chain = resolved.chain
        asked += [(part, resolved.dataset) for part in (chain.operator, chain.likelihood, *chain.priors, chain.solver)]
    return [part.ask("preimage_memory", dataset=dataset) for part, dataset in asked]


def _data_bytes(dataset: xr.Dataset, fractions: Mapping[str, float]) -> float:
    """Bytes of a block's measurement, or of its truth before it has one."""
    name = "measurement" if "measurement" in dataset.variables else "truth"
    if name not in dataset.variables:
        return 0.0
    found = dataset[name]
    share = math.prod(fraction for dim, fraction in fractions.items() if dim in found.dims)
    return found.size * found.dtype.itemsize * share


def _image_bytes(domain: AnySpace, fractions: Mapping[str, float]) -> float:
    """Bytes of a block's unknown."""
    return sum(
        space.nbytes * math.prod(fraction for dim, fraction in fractions.items() if dim in space.dims)
        for space in estimate_spaces(domain).values()
    )


def _dataset_before(resolved: Resolved, group: _Group) -> xr.Dataset:
    return group.elements[0].before if group.elements else resolved.dataset


def _input_bytes(resolved: Resolved, group: _Group) -> int:
    """Bytes of the variables that the stage's parts require, once each."""
    dataset = _dataset_before(resolved, group)
    names = {name for element in group.elements for name in element.part.requires}
    if group.solves:
        names |= {"measurement", *resolved.chain.operator.requires, *resolved.chain.operator.uses}
    return sum(dataset[name].size * dataset[name].dtype.itemsize for name in names if name in dataset.variables)


def _outputs(
    resolved: Resolved, group: _Group, block: Mapping[str, int], consumer: StagePlan | None
) -> dict[str, ArrayPlan]:
    if group.solves:
        return {
            name: _array(space.dims, space.shape, str(space.dtype).removeprefix("torch."), block)
            for name, space in estimate_spaces(resolved.domain).items()
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


def normalises(resolved: Resolved, compute: ComputeSettings) -> tuple[bool, str]:
    """Whether to solve for y / scale, and the sentence about it in the plan."""
    if not compute.normalise:
        return False, "data as they are: compute.normalise = false"
    if not resolved.linear:
        return False, f"data as they are: operator {resolved.chain.operator.name} is not linear"
    likelihood = resolved.chain.likelihood
    if not getattr(likelihood.declared, "scale_equivariant", False):
        return False, f"data as they are: likelihood {likelihood.name} has units of its own"
    return True, "data divided by the run's scale, max |Aᴴy|"


def _settings(part: Part) -> str:
    """What is set of a part, as (name = value)."""
    values = part.settings.model_dump(mode="json")
    return f" ({', '.join(f'{name} = {value}' for name, value in values.items())})" if values else ""


def _proposals(resolved: Resolved) -> list[str]:
    return [
        f"{element.part.name}{_settings(element.part)} put in by {element.proposed_by} "
        "(compute.rewrite = false leaves it out)"
        for element in resolved.elements
        if element.proposed_by
    ]
