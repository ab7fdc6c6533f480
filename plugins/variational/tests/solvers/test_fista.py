from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError

from preimage.operators import Identity, LinearOperator, Norm
from preimage.problem import Problem
from preimage.solving import Stop, solve
from preimage.space import Blocks, ProductSpace, Space
from preimage.testing import SolverLaws
from preimage.testing.agreement import largest_error
from preimage_variational.examples import IMAGE, Dense, problems, soft_threshold, with_empty_element, with_prior
from preimage_variational.priors.l1 import L1Norm
from preimage_variational.priors.sparsity import WaveletSparsity
from preimage_variational.priors.tikhonov import Tikhonov
from preimage_variational.solvers import fista
from preimage_variational.solvers.fista import Fista, Settings, preimage_scalars, preimage_solver
from preimage_variational.transforms.wavelet import Wavelet

WEIGHT = 0.1
FORMS = {"fista": Fista(), "restart": Fista(restart=True), "ista": Fista(accelerated=False)}


class TestLaws(SolverLaws):
    method = fista


def _lasso(seed=0, dtype=torch.float64, m=20, n=40, scale=1.0):
    """An underdetermined problem with a sparse truth."""
    generator = torch.Generator().manual_seed(seed)
    space = Space(("z", "y", "x"), (n, 1, 1), dtype)
    matrix = torch.randn(m, n, dtype=dtype, generator=generator) / math.sqrt(m)
    truth = torch.randn(n, dtype=dtype, generator=generator) * (torch.rand(n, generator=generator) < 0.15)
    y = matrix @ truth + 0.05 * torch.randn(m, dtype=dtype, generator=generator)
    return Problem(scale * y, Dense(scale * matrix, space), priors=(L1Norm(scale**2 * WEIGHT),))


@pytest.fixture(scope="module")
def lasso():
    problem = _lasso()
    return problem, solve(Fista(restart=True), problem, Stop(3000)).x


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize(("form", "n"), [("fista", 20000), ("restart", 2000), ("ista", 20000)])
def test_the_minimum_meets_the_conditions_of_the_lasso(form, n, dtype, scale, agreement):
    """|Aᴴ(y − Ax)| ≤ λ everywhere, and λ·x/|x| where x is not 0 (Karush, Kuhn and Tucker)."""
    problem, weight = _lasso(dtype=dtype, scale=scale), scale**2 * WEIGHT
    x = solve(FORMS[form], problem, Stop(n, tolerance=1e-13)).x
    pull, support = -problem.data_gradient(x), x.abs() > 0
    assert 0 < int(support.sum()) < x.numel()
    beyond = max(float(pull.abs().max()) / weight - 1, 0.0)
    off = largest_error(pull[support] / weight, x[support] / x[support].abs())
    for error in (beyond, off):
        reason = "of λ: a change below 1e-13 at a linear rate of 0.999 or better leaves 1e-10, times ‖A‖²/λ = 60"
        agreement("solver.fista", "the lasso's conditions of Karush, Kuhn and Tucker", error, 1e-8, reason)


@pytest.mark.parametrize(
    ("form", "bound"), [("ista", lambda k: 1 / (2 * k)), ("fista", lambda k: 2 / (k + 1) ** 2)], ids=["ista", "fista"]
)
def test_the_objective_stays_below_the_proven_rate(lasso, form, bound):
    """Beck & Teboulle 2009, theorems 3.1 and 4.4, in units of L‖x₀ − x*‖²."""
    problem, minimiser = lasso
    least = float(problem.objective(minimiser))
    unit = problem.operator.norm().value ** 2 * float(minimiser.norm()) ** 2
    excess = []
    solve(FORMS[form], problem, Stop(200), observers=[lambda p, s: excess.append(float(p.objective(s.x)) - least)])
    assert all(e <= unit * bound(k) + 1e-12 for k, e in enumerate(excess, 1))
    if form == "ista":
        assert all(after <= before + 1e-14 for before, after in pairwise(excess))


def test_each_acceleration_is_faster(lasso):
    problem, minimiser = lasso
    excess = {form: float((solve(FORMS[form], problem, Stop(150)).x - minimiser).norm()) for form in FORMS}
    assert 30 * excess["restart"] < 3 * excess["fista"] < excess["ista"]


def test_ista_is_the_paper_formula(agreement):
    problem = _lasso()
    matrix, size = problem.operator.matrix, 1 / problem.operator.norm().value ** 2
    x = torch.zeros(40, dtype=torch.float64)
    for _ in range(7):
        x = torch.nn.functional.softshrink(x - size * (matrix.mT @ (matrix @ x - problem.y)), size * WEIGHT)
    error = largest_error(solve(FORMS["ista"], problem, Stop(7)).x.flatten(), x)
    agreement("solver.fista", "the paper's iteration with a dense matrix", error, 1e-14, "seven steps of rounding")


def test_fista_is_the_paper_formula(agreement):
    problem = _lasso()
    matrix, size = problem.operator.matrix, 1 / problem.operator.norm().value ** 2
    x = ahead = torch.zeros(40, dtype=torch.float64)
    t = 1.0
    for _ in range(7):
        previous, t_previous = x, t
        x = torch.nn.functional.softshrink(ahead - size * (matrix.mT @ (matrix @ ahead - problem.y)), size * WEIGHT)
        t = (1 + math.sqrt(1 + 4 * t**2)) / 2
        ahead = x + (t_previous - 1) / t * (x - previous)
    error = largest_error(solve(FORMS["fista"], problem, Stop(7)).x.flatten(), x)
    agreement("solver.fista", "the paper's iteration with a dense matrix", error, 1e-14, "seven steps of rounding")


@pytest.mark.parametrize("form", FORMS)
def test_one_step_solves_denoising_in_closed_form(form, agreement):
    problem = soft_threshold(0.5)
    error = largest_error(solve(FORMS[form], problem, Stop(1)).x, problem.solution)
    agreement("solver.fista", "denoising in closed form", error, 1e-15, "values of about 1, rounded: 4 ε")


@pytest.mark.parametrize("form", FORMS)
def test_wavelet_denoising_is_one_prox_and_stays_there(form):
    space = Space(("y", "x"), (9, 12), torch.complex128)
    prior, y = WaveletSparsity(Wavelet(space, ("y", "x")), 0.3), space.randn(torch.Generator().manual_seed(0))
    before = y.clone()
    found = solve(FORMS[form], Problem(y, Identity(space), priors=(prior,)), Stop(4)).x
    torch.testing.assert_close(found, prior.prox(before, 1.0), rtol=0, atol=1e-13)
    assert torch.equal(y, before)  # though the identity returns its argument


@pytest.mark.parametrize("form", FORMS)
def test_an_element_without_data_stays_zero(form):
    problem = with_prior(with_empty_element(), L1Norm(0.1))
    x = solve(FORMS[form], problem, Stop(5)).x
    assert bool(x[0].any())
    assert not x[1].any()


def test_elements_of_a_batch_restart_on_their_own():
    problem = _lasso()
    ys = torch.stack([problem.y, 3 * problem.y.flip(0), 0 * problem.y])
    together = Problem(ys, problem.operator, priors=problem.priors)
    found, momenta = solve(FORMS["restart"], together, Stop(60)), set()
    for i, y in enumerate(ys):
        alone = solve(FORMS["restart"], Problem(y, problem.operator, priors=problem.priors), Stop(60))
        torch.testing.assert_close(found.x[i], alone.x, rtol=0, atol=1e-10)
        momenta.add(round(float(alone.momentum), 6))
    assert len(momenta) > 1


def test_a_restart_forgets_the_momentum():
    solver, momenta = FORMS["restart"], []
    solve(solver, _lasso(), Stop(100), observers=[lambda p, s: momenta.append(float(s.momentum))])
    assert momenta.count(1.0) > 1
    assert max(momenta) > 5


def test_nothing_measured_gives_what_the_prior_says():
    class Nothing(LinearOperator):
        def _apply(self, x):
            return 0 * x

        _apply_adjoint = _apply

        def _bound(self):
            return Norm(0.0, "exact")

    problem = Problem(IMAGE.zeros(), Nothing(IMAGE, IMAGE), priors=(Tikhonov(1.0),))
    x = solve(Fista(), problem, Stop(50), x0=IMAGE.randn(torch.Generator().manual_seed(0))).x
    assert float(x.norm()) < 1e-6


def test_the_norm_of_the_run_sets_the_step():
    problem = _lasso()
    (scalar,) = preimage_scalars(Settings()).values()
    assert scalar.merge == "max"
    assert scalar.partial(problem) == problem.operator.norm().value
    cautious = Problem(problem.y, problem.operator, priors=problem.priors, scalars={"norm": 1e3})
    assert float(solve(Fista(), cautious, Stop(3)).x.abs().max()) < 1e-4


def test_a_prior_is_for_the_unknown_that_it_names():
    space = ProductSpace(image=IMAGE, field=Space(("x",), (4,), torch.complex128))
    y, prior = space.randn(torch.Generator().manual_seed(4)), L1Norm(0.5)
    found = solve(Fista(), Problem(y, Identity(space), priors=(prior,), on=("image",)), Stop(3)).x
    assert isinstance(found, Blocks)
    torch.testing.assert_close(found["image"], prior.prox(y["image"], 1.0), rtol=0, atol=1e-14)
    torch.testing.assert_close(found["field"], y["field"], rtol=0, atol=1e-14)


def test_settings_make_the_solver():
    assert not preimage_solver(Settings()).couples
    assert preimage_solver(Settings(restart=True)).couples
    assert not preimage_solver(Settings(momentum="none")).accelerated
    with pytest.raises(ValidationError, match="restart needs momentum"):
        Settings(momentum="none", restart=True)


def test_a_step_makes_one_new_image():
    problem = with_prior(next(iter(problems())), L1Norm(0.1))
    with torch.no_grad():
        state = Fista().start(problem)
        x, data = state.x.data_ptr(), state.data.data_ptr()
        state = Fista().step(problem, state)
    assert state.ahead.data_ptr() == x
    assert state.data.data_ptr() == data
