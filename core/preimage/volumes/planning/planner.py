"""Making the plan: stages, block lengths, layouts."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from preimage.errors import RequestError
from preimage.parts import Part
from preimage.run_settings import ComputeSettings
from preimage.units import format_bytes
from preimage.volumes.planning.cutting import Reason
from preimage.volumes.planning.grouping import Group, group, halo_of
from preimage.volumes.planning.layouts import outputs
from preimage.volumes.planning.memory_model import USABLE, Model, factor_of
from preimage.volumes.planning.plan import Plan, StagePlan
from preimage.volumes.planning.reading import bytes_read, stored
from preimage.volumes.resolve import Resolved
from preimage.volumes.tasks.numbers import run_numbers

DECLARED = Model()
LARGE = 1 / 16
"""The share of what a stage reads from which on a variable's chunks are worth keeping whole."""


class NothingFits(RequestError):
    """Not even the smallest block fits into the memory."""


def make_plan(resolved: Resolved, compute: ComputeSettings, model: Model = DECLARED) -> Plan:
    """Plan a run.

    Parameters
    ----------
    model : what a worker needs; see `preimage.volumes.planning.probing`.

    Raises
    ------
    RequestError : `blocks` names a dim that cannot be cut.
    NothingFits : no block fits into the memory.
    """
    whole = Group.of_all(resolved)
    fits = not compute.blocks and model.fits(whole, {}, compute)
    groups = [whole] if fits else group(resolved, compute.blocks)
    stages: list[StagePlan] = []
    for one in reversed(groups):
        stages.insert(0, _plan_stage(one, compute, model, consumer=stages[0] if stages else None))
    normalise, why = normalises(resolved, compute)
    scalars = tuple(run_numbers(resolved.chain, normalise))
    for i, one in enumerate(groups):  # by now it is known how what it reads is stored
        stages[i] = replace(stages[i], bytes_read=bytes_read(one, stages[i], stages[:i], numbers=bool(scalars)))
    return Plan(
        stages=tuple(stages),
        scalars=scalars,
        normalise=normalise,
        memory=int(compute.memory),
        threads=compute.threads,
        process=model.process,
        device_memory=model.device,
        notes=(*_proposals(resolved), *_rounds(resolved, stages[-1]), *_misdeclared(stages, model), why),
    )


def _plan_stage(group: Group, compute: ComputeSettings, model: Model, consumer: StagePlan | None) -> StagePlan:
    resolved, sizes = group.resolved, group.sizes
    if group.solves and compute.blocks:
        block = _asked_blocks(resolved, sizes, compute.blocks)
    else:
        block = _fitting_block(group, compute, model)
    sizes = {dim: sizes[dim] for dim in block}
    written = outputs(group, block, consumer)
    return StagePlan(
        first=group.first,
        last=group.last,
        solves=group.solves,
        labels=tuple(e.part.name for e in group.elements) + ((resolved.chain.solver.name,) if group.solves else ()),
        sizes=sizes,
        block=block,
        outputs=written,
        memory=int(model.needs(group, block)),
        device_memory=int(model.device_needs(group, block)),
        bytes_read=0,
        bytes_written=sum(math.prod(a.shape) * np.dtype(a.dtype).itemsize for a in written.values()),
        halo={dim: n for dim, n in group.halo.items() if dim in block},
        solve_halo={dim: n for dim, n in halo_of(resolved.axes).items() if dim in block and group.solves},
        overlap={
            d: resolved.overlap[d] for d, n in block.items() if group.solves and d in resolved.overlap and n < sizes[d]
        },
    )


def _asked_blocks(resolved: Resolved, sizes: Mapping[str, int], asked: Mapping[str, int]) -> dict[str, int]:
    for dim in asked:
        if dim not in sizes:
            can = ", ".join(sizes) or "no dim"
            reason = resolved.reasons.get(dim)
            why = f"{reason.who} needs it whole" if reason else "there is no such dim in the unknown"
            cures = _cures({dim: reason} if reason else {})
            raise RequestError(
                f"compute.blocks: {dim!r} cannot be cut: {why}; what can be cut here: {can}"
                + (f". What would help: {', or '.join(cures)}" if cures else "")
            )
    return {dim: min(asked[dim], n) for dim, n in sizes.items() if dim in asked}


def _fitting_block(group: Group, compute: ComputeSettings, model: Model) -> dict[str, int]:
    """The largest block that fits: dims are cut one after the other and no more than needed, outermost first.

    Those along which what is read at once would be torn apart come after the others, and those along which blocks read
    more than their own or have to agree last.
    """
    block: dict[str, int] = {}
    dear = {*group.halo, *(group.resolved.overlap if group.solves else ())}
    chunks = {dim: _chunks(group, dim) for dim in group.sizes}
    tearing = [dim for dim, n in group.sizes.items() if 1 < n <= max(chunks[dim], default=1)]  # what is read at once
    for dim, n in sorted(group.sizes.items(), key=lambda item: (item[0] in dear, item[0] in tearing)):
        if model.fits(group, block, compute):
            break
        fitting = bisect.bisect_left(
            range(1, n + 1), True, key=lambda k: not model.fits(group, {**block, dim: k}, compute)
        )
        block[dim] = _even(max(1, fitting), n, chunks[dim])
    if not model.fits(group, block, compute):
        raise NothingFits(_too_little(group, compute, model, block))
    return block


def _even(longest: int, n: int, chunks: Iterable[int]) -> int:
    """A length of at most `longest` that cuts n into blocks much alike, of whole chunks of what is read if it can.

    Parameters
    ----------
    chunks : of the variables that are read; where not all can be whole, those that come first are.
    """
    unit = 1
    for chunk in chunks:
        both = math.lcm(unit, chunk)
        unit = both if both <= longest else unit
    alike = math.ceil(n / math.ceil(n / longest))
    whole = math.ceil(alike / unit) * unit
    return whole if whole <= longest else longest // unit * unit


def _chunks(group: Group, dim: str) -> list[int]:
    """How much of a dim is read at once of each variable that a group reads from the source, most bytes first.

    Those are left out that hardly count. What a stage before stores is laid out for the blocks of this one.
    """
    found = sorted(stored(group), key=lambda one: one.nbytes, reverse=True)
    total = sum(one.nbytes for one in found)
    return [one.chunks[dim] for one in found if dim in one.chunks and one.nbytes >= LARGE * total]


def _too_little(group: Group, compute: ComputeSettings, model: Model, block: Mapping[str, int]) -> str:
    """Why nothing fits, and what would help."""
    setting, given, smallest = "memory", int(compute.memory), model.needs(group, block) + model.process
    if model.device_needs(group, block) > model.device_budget:
        setting, given, smallest = "device_memory", model.device, model.device_needs(group, block)
    reasons = group.resolved.reasons
    whole = "; ".join(f"{reason.who} needs {dim} whole" for dim, reason in reasons.items()) or "no dim can be cut"
    cures = [format_bytes(smallest / USABLE), *_cures(reasons)]
    return (
        f"compute.{setting} = {format_bytes(given)} is too little: the smallest block needs "
        f"{format_bytes(smallest)} of the {format_bytes(USABLE * given)} that a plan may count on. "
        f"{whole}. Give it {', or '.join(cures)}"
    )


def _cures(reasons: Mapping[str, Reason]) -> list[str]:
    """What would let dims be cut that are whole because of priors alone."""
    couple = [dim for dim, reason in reasons.items() if reason.priors]
    agree = [dim for dim in couple if reasons[dim].shareable]
    cures = ["a prior over fewer dims"] if couple else []
    if agree:
        cures.append(f"a solver by which blocks agree along {', '.join(agree)}, such as consensus")
    return cures


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


def _rounds(resolved: Resolved, solve: StagePlan) -> list[str]:
    """What it means that blocks agree."""
    if not solve.overlap:
        return []
    most = resolved.chain.make_solver().stop.max_iter
    dims = ", ".join(f"{before + after} along {dim}" for dim, (before, after) in solve.overlap.items())
    return [f"blocks share pixels, {dims}, and agree on them in rounds, at most {most}: each reads all data anew"]


def _misdeclared(stages: Sequence[StagePlan], model: Model) -> list[str]:
    """Of which stages a plan does not follow from what is declared."""
    return [
        f"stage {i} is planned for {factor:.2g} times the memory{where} that its parts declare, "
        "which is about what a block of it took"
        for i, stage in enumerate(stages, 1)
        for where, factors in (("", model.factors), (" of the device", model.device_factors))
        if (factor := factor_of(factors, stage.steps)) != 1
    ]


def _proposals(resolved: Resolved) -> list[str]:
    return [
        f"{element.part.name}{_settings(element.part)} put in by {element.proposed_by} "
        "(compute.rewrite = false leaves it out)"
        for element in resolved.elements
        if element.proposed_by
    ]
