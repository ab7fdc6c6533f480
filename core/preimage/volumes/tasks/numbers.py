"""Numbers of the whole run, reduced over its blocks so that blocks agree on them."""

from __future__ import annotations

from preimage.chain import Chain
from preimage.declarations import Scalar
from preimage.operators import LinearOperator
from preimage.problem import Problem

SCALE = "scale"


def run_scalars(chain: Chain, normalise: bool) -> dict[str, Scalar]:
    """The numbers that the parts of a chain ask for; a part may say what `scale` is."""
    wanted = {SCALE: Scalar(largest_backprojection, "max")} if normalise else {}
    for part in (chain.operator, chain.likelihood, *chain.priors, chain.solver):
        wanted |= part.ask("preimage_scalars") or {}
    return wanted


def largest_backprojection(problem: Problem) -> float:
    """max |Aᴴy|: the scale of the data, unless the operator says otherwise."""
    assert isinstance(problem.operator, LinearOperator)
    return float(problem.operator.adjoint(problem.y).abs().max())
