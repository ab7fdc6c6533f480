"""What a solve may be cut along, why it may not along other dims, and how far blocks overlap that agree."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import torch
import xarray as xr

from preimage.chain import Chain
from preimage.declarations import Axis, split, whole
from preimage.offers import declares, offers
from preimage.operators.restriction import Crop
from preimage.parts import Part
from preimage.priors import Composite
from preimage.solving.exchange import Exchanging
from preimage.space import AnySpace, Space
from preimage.unknowns import unknown
from preimage.volumes.planning.axes import Axes, chained, complete, iterated
from preimage.volumes.planning.plan import Margins


@dataclass(frozen=True)
class Reason:
    """Why a dim is whole.

    Attributes
    ----------
    who : needs it whole, such as `prior 1 (total-variation)`; the first of several.
    priors : whether priors alone do.
    shareable : whether blocks could agree on what these couple, under a solver that lets them.
    """

    who: str
    priors: bool
    shareable: bool


def solve_axes(
    chain: Chain, dataset: xr.Dataset, domain: AnySpace, codomain: AnySpace
) -> tuple[dict[str, Axis], Margins, dict[str, Reason]]:
    """What the solve may be cut along, how far blocks overlap that agree, and why dims are whole."""
    declared = chain.operator.ask("preimage_axes", dataset=dataset, domain=domain)
    axes = {f"operator {chain.operator.name}": complete(declared, domain.sizes, codomain.sizes)}
    priors: dict[str, tuple[Part, Axes]] = {}
    for i, (part, on) in enumerate(zip(chain.priors, chain.on, strict=True), 1):
        space, who = unknown(domain, on), f"prior {i} ({part.name})"
        declared = part.ask("preimage_axes", dataset=dataset, domain=space)
        axes[who] = complete(declared, space.sizes, space.sizes)
        priors[who] = part, axes[who]
    shared: dict[str, set[str]] = {}
    if isinstance(domain, Space):
        shared = {who: shareable(part, declared) for who, (part, declared) in priors.items()}
    else:  # blocks along a dim would each find another of an unknown that lacks it
        for name, space in domain.items():
            axes[f"unknown {name}"] = dict.fromkeys([dim for dim in domain.sizes if dim not in space.dims], whole)
    solver = chain.make_solver()
    agree = isinstance(solver, Exchanging)
    if agree:
        for who, dims in shared.items():
            axes[who] = {**axes[who], **dict.fromkeys(dims, split)}
    if not solver.one_pass:
        axes = {who: iterated(declared) for who, declared in axes.items()}
    merged = chained(*axes.values())
    reasons = {}
    for dim in (dim for dim, axis in merged.items() if axis == whole):
        needing = [who for who, declared in axes.items() if declared.get(dim) == whole]
        agreeing = all(dim in shared.get(who, ()) for who in needing)
        reasons[dim] = Reason(needing[0], set(needing) <= set(priors), agreeing)
    cut = [dim for dim, axis in merged.items() if agree and axis == split]
    return merged, margins(priors.values(), cut, dataset, domain), reasons


def shareable(prior: Part, axes: Axes) -> set[str]:
    """The dims along which a prior couples blocks, but falls into shares of them: g(K x), where K has a halo."""
    return {dim for dim, axis in axes.items() if axis.reach} if declares(prior.declared, Composite) else set()


def margins(
    priors: Collection[tuple[Part, Axes]], dims: Iterable[str], dataset: xr.Dataset, domain: AnySpace
) -> dict[str, tuple[int, int]]:
    """How far blocks look beyond themselves, along those of some dims where priors couple them."""
    found = {}
    for dim in dims:
        seen = [_margin(prior, axes, dim, dataset, domain) for prior, axes in priors if dim in shareable(prior, axes)]
        if seen:
            found[dim] = max(before for before, _ in seen), max(after for _, after in seen)
    return found


def _margin(prior: Part, axes: Axes, dim: str, dataset: xr.Dataset, domain: AnySpace) -> tuple[int, int]:
    """How far along a dim those pixels are that K x at one index depends on: for most K, they are on one side only."""
    reach = axes[dim].reach
    assert isinstance(domain, Space)
    assert reach is not None
    if prior.requires or prior.uses:  # it is made of data, and they are not to be read yet
        return reach, reach
    lengths = {other: _long_enough(axes[other], n) for other, n in domain.sizes.items()} | {dim: 2 * reach + 1}
    space = Space(domain.dims, tuple(lengths.values()), domain.dtype)
    composite = offers(prior.make(domain=space, dataset=dataset, shared={}), Composite)
    if composite is None:
        return reach, reach
    linear = composite.split()[1]
    anchored = Crop(linear.codomain, {dim: slice(reach, reach + 1)}) @ linear
    seen = anchored.H(anchored.codomain.randn(torch.Generator().manual_seed(0)))
    where = seen.movedim(space.axis(dim), 0).flatten(1).abs().amax(1).nonzero().flatten().tolist() or [reach]
    return reach - where[0], where[-1] - reach


def _long_enough(axis: Axis, n: int) -> int:
    """The length of a dim of an image in which K shows what it does."""
    return n if axis.reach is None else min(n, 2 * axis.reach + 1)
