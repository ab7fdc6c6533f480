from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy import optimize

from preimage.errors import CapabilityError, RequestError
from preimage.operators import Identity, hstack
from preimage.problem import Problem
from preimage.solving import Stop, solve
from preimage.space import Space
from preimage.testing import SolverLaws
from preimage.testing.agreement import largest_error
from preimage_variational.examples import IMAGE, Dense, soft_threshold
from preimage_variational.priors.l1 import L1Norm
from preimage_variational.priors.non_negativity import NonNegativity
from preimage_variational.solvers import gradient_descent, proximal_gradient
from preimage_variational.solvers.fista import Fista
from preimage_variational.solvers.proximal_gradient import ProximalGradient, Settings, preimage_memory, preimage_solver

FORMS = {
    "adaptive": {},
    "line-search": {"rule": "line-search"},
    "line-search, nesterov": {"rule": "line-search", "momentum": "nesterov"},
    "lipschitz": {"rule": "lipschitz"},
    "lipschitz, nesterov": {"rule": "lipschitz", "momentum": "nesterov"},
    "fixed, heavy ball": {"rule": "fixed", "step": 0.01, "momentum": "heavy-ball", "inertia": 0.5},
}


class TestLaws(SolverLaws):
    method = proximal_gradient


@pytest.mark.parametrize("form", FORMS)
def test_least_squares_above_zero_are_scipys(form, agreement):
    """‖A‖² is below 100, so that fixed steps of 0.01 are short enough."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(40, 12, dtype=torch.float64, generator=generator)
    y = torch.randn(40, dtype=torch.float64, generator=generator)
    assert float(torch.linalg.matrix_norm(matrix, 2)) ** 2 < 100
    operator = Dense(matrix, Space(("z", "y", "x"), (3, 2, 2), torch.float64))
    x = solve(ProximalGradient(**FORMS[form]), Problem(y, operator, priors=(NonNegativity(),)), Stop(3000)).x
    expected, _ = optimize.nnls(matrix.numpy(), y.numpy())
    assert 0 < (expected == 0).sum() < 12
    assert bool(((x.flatten().numpy() == 0) == (expected == 0)).all())
    error, reason = largest_error(x.flatten(), expected), "√ε: a search compares values"
    agreement("solver.proximal-gradient", "SciPy's nnls", error, 1e-7, reason)


@pytest.mark.parametrize("form", [form for form in FORMS if "fixed" not in form])
def test_with_the_identity_a_sparse_solution_is_the_soft_threshold(form, agreement):
    problem = soft_threshold(0.5)
    x = solve(ProximalGradient(**FORMS[form]), problem, Stop(500)).x
    error, reason = largest_error(x, problem.solution), "√ε: a search compares values"
    agreement("solver.proximal-gradient", "the soft threshold, for the identity", error, 1e-7, reason)


def test_without_momentum_it_is_ista():
    """Steps of 1/‖A‖² under Gaussian noise, one after the other."""
    matrix = torch.randn(9, 6, dtype=IMAGE.dtype, generator=torch.Generator().manual_seed(0))
    y = torch.randn(9, dtype=IMAGE.dtype, generator=torch.Generator().manual_seed(1))
    problem = Problem(y, Dense(matrix, IMAGE), priors=(L1Norm(0.7),))
    ista = solve(Fista(accelerated=False), problem, Stop(9)).x
    torch.testing.assert_close(
        solve(ProximalGradient(rule="lipschitz"), problem, Stop(9)).x, ista, rtol=1e-11, atol=1e-12
    )


def test_a_prox_takes_the_step_of_its_unknown():
    operator = hstack(image=Identity(IMAGE), field=10 * Identity(IMAGE))
    problem = Problem(soft_threshold(0.5).y, operator, priors=(L1Norm(3.0),), on=("field",))
    steps = {"image": 0.2, "field": 0.002}
    start = problem.domain.randn(torch.Generator().manual_seed(0))
    found = solve(ProximalGradient(steps, rule="fixed"), problem, Stop(1), x0=start).x
    slope = problem.data_gradient(start)
    torch.testing.assert_close(found["image"], start["image"] - 0.2 * slope["image"])
    expected = L1Norm(3.0).prox(start["field"] - 0.002 * slope["field"], 0.002)
    torch.testing.assert_close(found["field"], expected)
    with pytest.raises(RequestError, match="ProximalGradient has steps for image, kernel: the unknowns are"):
        solve(ProximalGradient({"image": 1.0, "kernel": 1.0}), problem)
    with pytest.raises(RequestError, match="takes one step for all"):
        solve(ProximalGradient(steps), replace(problem, on=(None,)))


def test_one_prior_with_a_prox_is_asked_for():
    problem = soft_threshold(0.5)
    with pytest.raises(CapabilityError, match="it takes exactly 1 prior, there are 2"):
        solve(ProximalGradient(), replace(problem, priors=problem.priors * 2, on=(None, None)))


def test_settings_make_the_solver():
    made = preimage_solver(Settings(rule="line-search", momentum="nesterov", max_iter=7))
    assert (made.rule, made.momentum, made.stop.max_iter) == ("line-search", "nesterov", 7)
    assert made.couples
    assert not preimage_solver(Settings(rule="lipschitz")).couples
    plain = gradient_descent.preimage_memory(Settings(), None)
    assert preimage_memory(Settings(), None) == replace(plain, per_image=plain.per_image + 1)
