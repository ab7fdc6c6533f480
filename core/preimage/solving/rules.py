"""Step-size rules."""

from __future__ import annotations

from preimage.operators import LinearOperator
from preimage.problem import Problem


def lipschitz(problem: Problem) -> float:
    """L = ‖A‖², the Lipschitz constant of x ↦ Aᴴ(Ax − y), never too small.

    The `norm` of the whole run if it is among the problem's scalars, so that blocks take equal steps;
    else that of the problem's own linear operator.
    """
    if "norm" in problem.scalars:
        return problem.scalars["norm"] ** 2
    assert isinstance(problem.operator, LinearOperator)
    return problem.operator.norm().safe ** 2
