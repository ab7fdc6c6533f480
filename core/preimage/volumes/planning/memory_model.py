"""The memory model: what a worker is predicted to need for a block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr

from preimage.declarations import Memory
from preimage.likelihoods import is_phaseless
from preimage.parts import Part
from preimage.run_settings import ComputeSettings
from preimage.space import AnySpace
from preimage.volumes.planning.grouping import Group
from preimage.volumes.planning.layouts import estimate_spaces

PROCESS = 555 * 2**20
"""Bytes of a worker's process before it has read anything: Python, torch, zarr."""
USABLE = 0.75
"""Share of the memory that a plan relies on."""
UNDECLARED = Memory(fixed=40 * 2**20, per_input=10.0)
"""What a chain is taken to need for a part that works on all the data and does not say."""


@dataclass(frozen=True)
class Model:
    """What a worker needs: its process, and by how much blocks need more than is declared.

    The defaults are for before anything was measured.
    """

    process: int = PROCESS
    factor: float = 1.0

    def budget(self, compute: ComputeSettings) -> float:
        """Bytes that a block may need."""
        return USABLE * int(compute.memory) - self.process

    def needs(self, group: Group, block: Mapping[str, int]) -> float:
        """Bytes that a block is predicted to need at its peak, beside the process; its halo is counted in."""
        fractions = _fractions(group, block)
        total = _declared(group)
        data = _data_bytes(group.dataset, fractions)
        if (
            group.solves
            and group.resolved.codomain.is_complex
            and is_phaseless(group.resolved.chain.likelihood.declared)
        ):
            data *= 2  # methods count complex data, and these are their magnitudes
        image = _image_bytes(group.resolved.domain, _fractions(group, block, overlap=True)) if group.solves else 0.0
        return self.factor * (total.fixed + total.workspace + total.per_input * data + total.per_image * image)


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
