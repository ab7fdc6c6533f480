from __future__ import annotations

from dataclasses import replace

import pytest

from preimage.likelihoods import Gaussian
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


class Magnitudes(Gaussian):
    """Data are magnitudes."""

    phaseless = True


def test_magnitudes_are_taken_at_the_phase_0():
    problem = next(iter(problems()))
    magnitudes = problem.y.abs()
    expected = problem.operator.matrix.mH @ magnitudes.to(problem.y.dtype).flatten()
    found = solve(Adjoint(), replace(problem, y=magnitudes, likelihood=Magnitudes()))
    assert largest_error(found.x.flatten(), expected) < 1e-14
