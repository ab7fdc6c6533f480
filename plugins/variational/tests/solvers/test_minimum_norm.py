from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from preimage.errors import CapabilityError
from preimage.operators import LinearOperator
from preimage.problem import Problem
from preimage.solving import solve
from preimage.space import Space
from preimage.testing import SolverLaws
from preimage.testing.agreement import largest_error
from preimage_variational.examples import problems
from preimage_variational.solvers import minimum_norm
from preimage_variational.solvers.conjugate_gradient import ConjugateGradient
from preimage_variational.solvers.minimum_norm import MinimumNorm


class TestLaws(SolverLaws):
    method = minimum_norm


@pytest.mark.parametrize("problem", problems(), ids=["tall", "wide", "rank 3"])
def test_it_is_the_dense_pseudo_inverse_and_where_undamped_conjugate_gradients_end(problem, agreement):
    expected = np.linalg.lstsq(problem.operator.matrix.numpy(), problem.y.numpy(), rcond=1e-10)[0]
    for solver, name in ((MinimumNorm(), "minimum-norm"), (ConjugateGradient(max_iter=20), "conjugate-gradient")):
        error = largest_error(solve(solver, problem).x.flatten(), expected)
        reason = "conditions of 3, or 9 of the normal equations: rounding, ten times"
        agreement(f"solver.{name}", "NumPy's lstsq, of minimum norm", error, 1e-13, reason)


def test_an_operator_without_a_pseudo_inverse_is_refused():
    space = Space(("x",), (3,))
    with pytest.raises(CapabilityError, match=r"the operator \(LinearOperator\) is no PseudoInvertible"):
        solve(MinimumNorm(), Problem(space.zeros(), LinearOperator(space, space)))


def test_where_least_squares_are_not_the_likeliest_it_is_refused():
    class Counts:
        """Another noise."""

    problem = next(iter(problems()))
    with pytest.raises(CapabilityError, match=r"the likelihood \(Counts\) is no Gaussian"):
        solve(MinimumNorm(), replace(problem, likelihood=Counts()))
