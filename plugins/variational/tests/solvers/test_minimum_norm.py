from __future__ import annotations

import pytest
import torch

from preimage.errors import CapabilityError
from preimage.operators import LinearOperator
from preimage.problem import Problem
from preimage.solving import Stop, solve
from preimage.space import Space
from preimage.testing import SolverLaws
from preimage_variational.examples import problems
from preimage_variational.solvers import minimum_norm
from preimage_variational.solvers.conjugate_gradient import ConjugateGradient
from preimage_variational.solvers.minimum_norm import MinimumNorm


class TestLaws(SolverLaws):
    method = minimum_norm


@pytest.mark.parametrize("problem", problems(), ids=["tall", "wide", "rank 3"])
def test_it_is_the_dense_pseudo_inverse_and_where_undamped_conjugate_gradients_end(problem):
    expected = (torch.linalg.pinv(problem.operator.matrix) @ problem.y).reshape(problem.domain.shape)
    # Condition numbers are 3, or 9 of the normal equations: rounding, ten times.
    close = {"rtol": 0, "atol": 1e-13}
    torch.testing.assert_close(solve(MinimumNorm(), problem).x, expected, **close)
    torch.testing.assert_close(solve(ConjugateGradient(), problem, Stop(20)).x, expected, **close)


def test_an_operator_without_a_pseudo_inverse_is_refused():
    space = Space(("x",), (3,))
    with pytest.raises(CapabilityError, match=r"the operator \(LinearOperator\) is no PseudoInvertible"):
        solve(MinimumNorm(), Problem(space.zeros(), LinearOperator(space, space)))
