from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from preimage.operators import Identity, LinearOperator, Norm
from preimage.problem import Problem
from preimage.solving import Stop, solve
from preimage.space import Blocks, ProductSpace, Space
from preimage.testing import SolverLaws
from preimage.testing.agreement import largest_error
from preimage_variational.examples import IMAGE, Dense, least_squares, problems, with_empty_element
from preimage_variational.solvers import conjugate_gradient
from preimage_variational.solvers.conjugate_gradient import ConjugateGradient


class TestLaws(SolverLaws):
    method = conjugate_gradient


class MaskedFourier(LinearOperator):
    """Part of the Fourier transform: AAᴴ = I on the mask, and half of the space is the null space."""

    def __init__(self, n, dtype):
        space = Space(("y", "x"), (n, n), dtype)
        super().__init__(space, space)
        self.mask = torch.rand(n, 1, generator=torch.Generator().manual_seed(0)) < 0.5

    def _apply(self, x):
        return torch.fft.fft2(x, norm="ortho") * self.mask

    def _apply_adjoint(self, y):
        return torch.fft.ifft2(y * self.mask, norm="ortho")

    def _bound(self):
        return Norm(1.0, "exact")


def _matrix_problem(singular, seed=0):
    """A square problem with these singular values."""
    n = len(singular)
    generator = torch.Generator().manual_seed(seed)
    space = Space(("z", "y", "x"), (n, 1, 1), torch.complex128)
    u, _, vh = torch.linalg.svd(torch.randn(n, n, dtype=space.dtype, generator=generator))
    return Problem(torch.randn(n, dtype=space.dtype, generator=generator), Dense((u * singular) @ vh, space))


@pytest.mark.parametrize("damping", [0.0, 0.2, 5.0])
@pytest.mark.parametrize("problem", problems(), ids=["tall", "wide", "rank 3"])
def test_it_is_the_dense_solution_also_from_a_warm_start(problem, damping, agreement):
    expected = least_squares(problem, damping).reshape(IMAGE.shape)
    starts = [None]
    if damping:  # else the part of the start in the null space stays
        starts.append(IMAGE.randn(torch.Generator().manual_seed(3)))
    for x0 in starts:
        error = largest_error(solve(ConjugateGradient(damping), problem, Stop(12), x0=x0).x, expected)
        reason = "rounding, times a condition of 9 at most: six unknowns take six steps"
        agreement("solver.conjugate-gradient", "torch's pseudo-inverse of dense equations", error, 1e-13, reason)


def test_it_takes_as_many_steps_as_there_are_different_singular_values():
    problem = _matrix_problem(torch.tensor([1.0, 1.0, 0.5, 0.5, 0.5, 2.0, 2.0, 2.0], dtype=torch.float64))
    expected = least_squares(problem, 0.0).reshape(8, 1, 1)
    errors = [float((solve(ConjugateGradient(), problem, Stop(n)).x - expected).norm()) for n in (1, 2, 3)]
    assert errors[1] > 1e-3
    assert errors[2] < 1e-12


def test_the_objective_counts_the_damping_and_falls_with_every_step():
    problem, solver = _matrix_problem(torch.linspace(0.1, 1, 12, dtype=torch.float64)), ConjugateGradient(0.05)
    objectives = []
    solve(solver, problem, Stop(10), observers=[lambda p, s: objectives.append(float(solver.objective(p, s.x)))])
    assert all(after < before for before, after in pairwise(objectives))
    x = solve(solver, problem, Stop(10)).x
    misfit = problem.operator(x) - problem.y
    expected = 0.5 * misfit.abs().square().sum() + 0.025 * x.abs().square().sum()
    assert objectives[-1] == pytest.approx(float(expected), rel=1e-12)


def test_the_tolerance_is_of_the_gradient():
    problem, solver = _matrix_problem(torch.linspace(0.1, 1, 12, dtype=torch.float64)), ConjugateGradient(0.05)
    state = solve(solver, problem, Stop(100, tolerance=1e-4))
    assert state.iteration < 100
    gradient = problem.data_gradient(state.x) + 0.05 * state.x
    share = float(gradient.norm() / problem.operator.adjoint(problem.y).norm())
    assert share < 1e-4
    assert float(state.change) == pytest.approx(share, rel=1e-6)


def test_an_element_without_data_stays_zero():
    problem = with_empty_element()
    state = solve(ConjugateGradient(), problem, Stop(5))
    torch.testing.assert_close(state.x[0], problem.y[0] / 2j, rtol=1e-14, atol=0)
    assert not state.x[1].any()
    assert state.change.tolist() == [pytest.approx(0, abs=1e-15), 0]


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_iterations_beyond_convergence_do_no_harm_in_spite_of_a_null_space(dtype, agreement):
    operator = MaskedFourier(32, dtype)
    y = operator(operator.domain.randn(torch.Generator().manual_seed(1)))
    expected = operator.adjoint(y)  # which is A⁺y here
    found = solve(ConjugateGradient(), Problem(y, operator), Stop(200)).x
    agreement(
        "solver.conjugate-gradient",
        "the pseudo-inverse Aᴴ of a masked Fourier transform",
        float((found - expected).norm() / expected.norm()),
        10 * torch.finfo(dtype).eps,
        "relative: 10 ε, also after 200 iterations in single precision",
    )


def test_without_that_care_they_would(monkeypatch):
    monkeypatch.setattr(conjugate_gradient, "ROUNDING", 0)
    operator = MaskedFourier(32, torch.complex64)
    y = operator(operator.domain.randn(torch.Generator().manual_seed(1)))
    found = solve(ConjugateGradient(), Problem(y, operator), Stop(200)).x
    assert float((found - operator.adjoint(y)).norm()) > 1


@pytest.mark.parametrize("damping", [0.0, 1.0])
def test_an_operator_that_returns_its_argument_is_safe(damping):
    y = IMAGE.randn(torch.Generator().manual_seed(2))
    before = y.clone()
    found = solve(ConjugateGradient(damping), Problem(y, Identity(IMAGE)), Stop(3)).x
    torch.testing.assert_close(found, before / (1 + damping), rtol=1e-14, atol=0)
    assert torch.equal(y, before)


def test_several_unknowns_are_solved_together():
    space = ProductSpace(image=IMAGE, field=Space(("x",), (4,), torch.complex128))
    y = space.randn(torch.Generator().manual_seed(4), batch=(2,))
    found = solve(ConjugateGradient(1.0), Problem(y, Identity(space)), Stop(3)).x
    assert isinstance(found, Blocks)
    for name in space:
        torch.testing.assert_close(found[name], y[name] / 2, rtol=1e-14, atol=0)


def test_a_step_reuses_the_memory_of_its_state():
    problem, solver = next(iter(problems())), ConjugateGradient(0.1)
    with torch.no_grad():
        state = solver.start(problem)
        before = [tensor.data_ptr() for tensor in (state.x, state.residual, state.direction)]
        state = solver.step(problem, state)
    assert [tensor.data_ptr() for tensor in (state.x, state.residual, state.direction)] == before
