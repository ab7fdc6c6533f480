"""A block's share of the objective of the whole, where priors couple blocks, and who else looks at its pixels.

The objective of the whole is the sum over blocks of ℓ of a block's data and, of every prior g(K x), of those K x that
are anchored in the block. These depend on pixels a little beyond it: blocks overlap by that much, and have copies of
the same pixels, which must agree.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from preimage.errors import CapabilityError
from preimage.movable import Movable
from preimage.offers import offers
from preimage.operators import Identity, LinearOperator
from preimage.operators.algebra import LinearComposed
from preimage.operators.restriction import Crop
from preimage.parts import Part
from preimage.priors import Composite
from preimage.problem import Problem
from preimage.space import Space
from preimage.volumes.planning.plan import Region, StagePlan, within

if TYPE_CHECKING:
    from preimage.volumes.tasks.worker import Worker


class Share(Movable):
    """What a block has of a prior: g(K x), with those K x that are anchored in the block."""

    def __init__(self, outer: Any, linear: LinearOperator) -> None:
        self.outer = outer
        self.linear = linear

    def split(self) -> tuple[Any, LinearOperator]:
        """The g and the K."""
        return self.outer, self.linear

    def value(self, x: Tensor) -> Tensor:
        """g(K x), or 0 for a g that has no value."""
        found: Tensor = self.outer.value(self.linear(x)) if hasattr(self.outer, "value") else x.real.new_zeros(())
        return found


@dataclass(frozen=True)
class SharedBlock:
    """A block that shares pixels with others.

    Attributes
    ----------
    own : its problem, without priors.
    share : its share of the objective, over all pixels that it looks at.
    region, wide : of the block, and of these pixels.
    """

    own: Problem
    share: Problem
    region: Region
    wide: Region

    def at(self, region: Region) -> tuple[slice, ...]:
        """Where a part of the pixels that it looks at lies in the x of its share."""
        return index_of(region, self.wide, tuple(self.share.domain.sizes))


def shared_block(worker: Worker, stage: int, region: Region) -> SharedBlock:
    """A block and its share of the objective.

    Raises
    ------
    CapabilityError : a prior that couples blocks does not split into g(K x), though it was declared to.
    """
    dataset, _ = worker.prepared(stage, region)
    own = worker.problem(region, dataset, with_priors=False)
    assert isinstance(own.domain, Space)
    wide = worker.plan.stages[stage].overlapping(region)
    lengths = own.domain.sizes | {dim: stop - start for dim, (start, stop) in wide.items() if dim in own.domain.dims}
    crop = Crop(Space(own.domain.dims, tuple(lengths.values()), own.domain.dtype), within(wide, region, lengths))

    def make(part: Part, *, beyond: bool = False) -> Any:
        """A prior on the block, or on all that it looks at, where what it is made of must reach as far."""
        return part.make(
            domain=crop.domain if beyond else crop.codomain,
            dataset=worker.prepared(stage, wide)[0] if beyond and (part.requires or part.uses) else dataset,
            shared=worker.shared,
        )

    def share(part: Part) -> Any:
        """What the block has of a prior."""
        prior = make(part)
        composite = offers(prior, Composite)
        axes = part.ask("preimage_axes", dataset=dataset, domain=crop.domain) or {}
        if not any(axes[dim].reach for dim in worker.plan.stages[stage].overlap):
            if getattr(prior, "constraint", False):
                return make(part, beyond=True)  # met by all copies of a pixel, and no worse for being counted twice
            outer, linear = composite.split() if composite else (prior, Identity(crop.codomain))
            return Share(outer, LinearComposed(linear, crop))
        wider = offers(make(part, beyond=True), Composite)
        if composite is None or wider is None:
            raise CapabilityError(f"prior {part.name} couples blocks and is no Composite: they could not agree on it")
        linear = wider.split()[1]
        anchored = Crop(linear.codomain, within(wide, region, linear.codomain.dims))
        return Share(composite.split()[0], LinearComposed(anchored, linear))

    priors = tuple(map(share, worker.resolved.chain.priors))
    problem = replace(own, operator=own.operator @ crop, priors=priors, on=(None,) * len(priors))
    return SharedBlock(own, problem, region, wide)


def looking_at(stage: StagePlan, wide: Region) -> Iterator[tuple[int, Region, Region]]:
    """Yield all blocks that look at pixels of a region, in order: index, all at which it looks, and those pixels."""
    ranges = []
    for dim, count in zip(stage.sizes, stage.grid, strict=True):
        (before, after), (start, stop), length = stage.overlap.get(dim, (0, 0)), wide[dim], stage.block[dim]
        ranges.append(range(max(0, (start - after) // length), min(count, (stop + before - 1) // length + 1)))
    for places in itertools.product(*ranges):
        index = 0
        for place, count in zip(places, stage.grid, strict=True):
            index = index * count + place
        theirs = stage.overlapping(stage.region(index))
        common = {dim: (max(start, theirs[dim][0]), min(stop, theirs[dim][1])) for dim, (start, stop) in wide.items()}
        if all(start < stop for start, stop in common.values()):
            yield index, theirs, common


def index_of(inner: Region, region: Region, dims: tuple[str, ...]) -> tuple[slice, ...]:
    """Where a part lies in a tensor of a region."""
    found = within(region, inner, dims)
    return tuple(found.get(dim, slice(None)) for dim in dims)
