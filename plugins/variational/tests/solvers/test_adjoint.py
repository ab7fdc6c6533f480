from __future__ import annotations

import pytest

from preimage.solving import solve
from preimage.testing import SolverLaws
from preimage.testing.agreement import largest_error
from preimage_variational.examples import problems
from preimage_variational.solvers import adjoint
from preimage_variational.solvers.adjoint import Adjoint


class TestLaws(SolverLaws):
    method = adjoint


@pytest.mark.parametrize("problem", list(problems()), ids=["tall", "wide", "rank 3"])
def test_it_is_the_dense_adjoint(problem, agreement):
    expected = problem.operator.matrix.numpy().conj().T @ problem.y.numpy()
    error = largest_error(solve(Adjoint(), problem).x.flatten(), expected)
    agreement("solver.adjoint", "NumPy's product with the dense adjoint", error, 1e-14, "sums of at most nine products")
