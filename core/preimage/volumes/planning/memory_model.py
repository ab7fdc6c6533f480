"""The memory model: what a worker is predicted to need for a block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import xarray as xr

from preimage.declarations import Memory
from preimage.likelihoods import is_phaseless
from preimage.parts import Part
from preimage.run_settings import ComputeSettings
from preimage.space import AnySpace
from preimage.volumes.planning.grouping import Group
from preimage.volumes.planning.layouts import estimate_spaces
from preimage.volumes.planning.plan import Steps

PROCESS = 555 * 2**20
"""Bytes of a worker's process before it has read anything: Python, torch, zarr."""
USABLE = 0.75
"""Share of the memory that a plan relies on."""
UNDECLARED = Memory(fixed=40 * 2**20, per_input=10.0)
"""What a chain is taken to need for a part that works on all the data and does not say."""


STAGED = 3.0
"""Multiples of the measurement and the unknown that a process holds of a block that an accelerator works on.

They are read, laid out anew, and fetched back.
"""
OFF = 1.2
"""A declaration that is off by no more than this is taken as it is: what a plan may not use leaves room for it."""
STEP = 128 * 2**20
"""Bytes in which a measured process is counted."""


@dataclass(frozen=True)
class Model:
    """What a worker needs: its process, and by how much blocks need more than is declared.

    The defaults are for before anything was measured.

    Attributes
    ----------
    factors, device_factors : for steps of the chain that are done together, how many times what they declare a block
        needs; of the process, and of an accelerator.
    device : bytes of an accelerator that a worker may use; 0 where the CPU works.
    """

    process: int = PROCESS
    factors: Mapping[Steps, float] = field(default_factory=dict)
    device: int = 0
    device_factors: Mapping[Steps, float] = field(default_factory=dict)

    def budget(self, compute: ComputeSettings) -> float:
        """Bytes that a block may need, beside the process."""
        return USABLE * int(compute.memory) - self.process

    @property
    def device_budget(self) -> float:
        """Bytes that a block may need of an accelerator."""
        return USABLE * self.device

    def fits(self, group: Group, block: Mapping[str, int], compute: ComputeSettings) -> bool:
        """Whether a block is predicted to fit into the memory of a worker, and of its accelerator."""
        return (
            self.needs(group, block) <= self.budget(compute) and self.device_needs(group, block) <= self.device_budget
        )

    def needs(self, group: Group, block: Mapping[str, int]) -> float:
        """Bytes that a block is predicted to need at its peak, beside the process; its halo is counted in."""
        total = _declared(group)
        if self.device:
            total = Memory(fixed=total.fixed, per_input=STAGED, per_image=STAGED)
        return factor_of(self.factors, group.steps) * _bytes(total, group, block)

    def device_needs(self, group: Group, block: Mapping[str, int]) -> float:
        """Bytes that a block is predicted to need of an accelerator."""
        if not self.device:
            return 0.0
        total = _declared(group)
        return factor_of(self.device_factors, group.steps) * _bytes(
            replace(total, per_input=total.on_device), group, block
        )


def factor_of(factors: Mapping[Steps, float], steps: Steps) -> float:
    """How many times what they declare some steps need; of several that were measured apart, the most."""
    first, stop = steps
    return max((factor for (i, j), factor in factors.items() if first <= i and j <= stop), default=1.0)


def _bytes(total: Memory, group: Group, block: Mapping[str, int]) -> float:
    """The bytes of a block, given multiples of its measurement and its unknown."""
    data = _data_bytes(group.dataset, _fractions(group, block))
    if group.solves and group.resolved.codomain.is_complex and is_phaseless(group.resolved.chain.likelihood.declared):
        data *= 2  # methods count complex data, and these are their magnitudes
    image = _image_bytes(group.resolved.domain, _fractions(group, block, overlap=True)) if group.solves else 0.0
    return total.fixed + total.workspace + total.per_input * data + total.per_image * image


def settled_factor(measured: float, declared: float) -> float:
    """How many times what is declared a block is taken to need: the power of OFF² that is nearest to what was measured.

    Memory as it is measured varies by a few percent from one process to the next, and a plan must not. Whatever lies
    within OFF of a power, either way, comes to that power: a declaration that is right to within OFF stays as it is,
    and one that is wrong is corrected to within OFF. So plans of the same run are equal unless what its blocks need is,
    by chance, within these few percent of the border between two powers (1.2, 1.73, 2.49 … times what is declared,
    or as many times less): no rounding of a number that varies can promise more. `compute.blocks` can, and so can a
    plan that is kept: a run that goes on and one that is reproduced have theirs from the record.
    """
    return float(OFF ** (2 * round(math.log(max(measured, 1.0) / max(declared, 1.0), OFF**2))))


def settled_process(measured: float) -> int:
    """What a process that was measured is taken to need: whole steps, for the same reason as `settled_factor`."""
    return math.ceil(measured / STEP) * STEP


def _declared(group: Group) -> Memory:
    """What the parts of a group declare together."""
    working: list[tuple[Part, xr.Dataset]] = [(element.part, element.before) for element in group.elements]
    light: list[tuple[Part, xr.Dataset]] = []
    if group.solves:
        chain, dataset = group.resolved.chain, group.resolved.dataset
        working += [(part, dataset) for part in (chain.operator, chain.solver)]
        light = [(part, dataset) for part in (chain.likelihood, *chain.priors)]
    declared = [part.ask("preimage_memory", dataset=dataset) for part, dataset in (*working, *light)]
    total = UNDECLARED if None in declared[: len(working)] else Memory()
    return sum((memory for memory in declared if memory is not None), total)


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


def _fractions(group: Group, block: Mapping[str, int], *, overlap: bool = False) -> dict[str, float]:
    """The share of the data along each dim that a block reads, its halo included; of the unknown, what it overlaps."""
    sizes, shared = group.sizes, group.resolved.overlap if overlap else {}
    beyond = {dim: 2 * group.halo.get(dim, 0) + sum(shared.get(dim, ())) for dim in block}
    return {dim: min(1.0, (n + beyond[dim]) / sizes[dim]) for dim, n in block.items()}
