"""Numbers of the whole run, reduced over its blocks so that blocks agree on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch

from preimage.chain import Chain
from preimage.declarations import Scalar
from preimage.errors import RunError
from preimage.problem import Problem
from preimage.space import ProductSpace
from preimage.volumes.planning.plan import within

if TYPE_CHECKING:
    from preimage.volumes.tasks.worker import Worker

SCALE = "scale"


def run_numbers(chain: Chain, normalise: bool) -> dict[str, Scalar]:
    """The numbers that the parts of a chain ask for; a part may say what `scale` is."""
    wanted = {SCALE: Scalar(largest_backprojection, "max")} if normalise else {}
    for part in (chain.operator, chain.likelihood, *chain.priors, chain.solver):
        wanted |= part.ask("preimage_scalars") or {}
    return wanted


def numbers_of_block(worker: Worker, stage: int, block: int) -> dict[str, float]:
    """What one block contributes to each of them."""
    region = worker.plan.stages[stage].region(block)
    dataset, solved = worker.prepared(stage, region)
    problem = worker.resolved.chain.make_problem(dataset, worker.shared, with_priors=False)
    inner = within(solved, region)
    numbers = {}
    with torch.no_grad():
        for name, scalar in run_numbers(worker.resolved.chain, worker.plan.normalise).items():
            ours = scalar.partial is largest_backprojection
            numbers[name] = largest_backprojection(problem, inner) if ours else scalar.partial(problem)
    return numbers


def merged(wanted: Mapping[str, Scalar], blocks: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The numbers of the run from those of its blocks, in the order of the blocks: sums are then always the same.

    Raises
    ------
    RunError : the scale is 0.
    """
    total: dict[str, float] = {}
    for numbers in blocks:
        total = {
            name: scalar.combine(total[name], numbers[name]) if total else numbers[name]
            for name, scalar in wanted.items()
        }
    if total.get(SCALE) == 0.0:
        raise RunError("Aᴴy is zero everywhere: the measurement is empty, or the mask has no sample of it")
    return total


def largest_backprojection(problem: Problem, inner: Mapping[str, slice] | None = None) -> float:
    """max |Aᴴy|: the scale of the data, unless the operator says otherwise.

    Parameters
    ----------
    inner : where to look, along some dims; what is further out also lacks data from beyond the block.
    """
    found, domain, inner = problem.backprojection(), problem.domain, inner or {}
    parts = (
        [(found[n], space) for n, space in domain.items()] if isinstance(domain, ProductSpace) else [(found, domain)]
    )
    return max(
        float(part[tuple(inner.get(dim, slice(None)) for dim in space.dims)].abs().max()) for part, space in parts
    )
