"""Objects recovered from amplitudes and counts: the physics of one pack, and the solver of another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cvxpy
import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

import preimage
from preimage import Gaussian, Problem, Stop
from preimage.operators import LinearOperator
from preimage.randomness import Draw
from preimage.space import Space
from preimage.testing.agreement import largest_error
from preimage_optics import Amplitude, Poisson, phase_retrieval

N = 64


def descend(**settings: Any) -> Any:
    return preimage.make("solver.gradient-descent", **settings)


def coded_diffraction(seed: int, power: int, n_patterns: int = 6) -> tuple[Problem, Tensor]:
    """A complex object of white noise, the masks and the start all of one seed."""
    random = np.random.default_rng(seed)
    truth = random.standard_normal((N, N)) + 1j * random.standard_normal((N, N))
    settings = phase_retrieval.Settings(power=power, n_patterns=n_patterns, seed=seed)
    operator = phase_retrieval.preimage_operator(settings, xr.Dataset({"truth": (("y", "x"), truth)}), {})
    x = torch.from_numpy(truth)
    return Problem(operator(x), operator, seed=seed), x


def aligned_error(x: Tensor, truth: Tensor) -> float:
    """‖x e^(iφ) − truth‖ / ‖truth‖ with the best global phase φ."""
    inner = torch.vdot(x.flatten(), truth.flatten())
    return float((x * inner / inner.abs() - truth).norm() / truth.norm())


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("seed", range(10))
def test_six_coded_patterns_tell_a_complex_object(seed, power, agreement):
    """Amplitude flow (power 1) and Wirtinger flow (power 2), with steps in no unit of the problem's."""
    problem, truth = coded_diffraction(seed, power)
    reached = []

    def watch(_: Problem, state: Any) -> bool:
        reached.append(aligned_error(state.x, truth))
        return reached[-1] > 1e-6

    preimage.solve(descend(), problem, Stop(800), observers=[watch])
    reason = "what recovery from six patterns of 64×64 is asked to reach within 800 iterations; linear convergence"
    agreement(
        "operator.phase-retrieval by solver.gradient-descent", "the truth, without noise", reached[-1], 1e-6, reason
    )
    assert reached[0] > 0.1  # it was not there from the start


def test_one_pattern_does_not():
    problem, truth = coded_diffraction(0, 1, n_patterns=1)
    assert aligned_error(preimage.solve(descend(), problem, Stop(200)).x, truth) > 0.5


def test_a_magnitude_may_be_the_operators_or_the_likelihoods():
    """½‖|Bx| − y‖² is one objective, whether |·| belongs to A or to ℓ, and every step is the same."""
    problem, _ = coded_diffraction(0, 1)
    start = problem.operator.initial(problem.y)
    field = Problem(problem.y, problem.operator.linear, Amplitude())
    solver = descend(rule="fixed", step=0.2)
    found = [preimage.solve(solver, one, Stop(20), x0=start).x for one in (problem, field)]
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)  # rounding, grown over twenty steps


def test_recovery_ends_where_the_noise_does(agreement):
    """At 2σ/√(L − 2) a pixel: what least squares leave of 2N² real unknowns in L N² amplitudes.

    An amplitude sees one of two parts of the field, so that JᵀJ is L/2 on average; were J a matrix of independent
    numbers, the squared error would be 2N² σ² (2/L)/(1 − 2/L). Coded diffraction is not quite that: a tenth is allowed.
    """
    problem, truth = coded_diffraction(1, 1)
    sigma = 0.05
    noise = torch.randn(problem.y.shape, dtype=problem.y.dtype, generator=torch.Generator().manual_seed(0))
    noisy = Problem(problem.y + sigma * noise, problem.operator)
    error = aligned_error(preimage.solve(descend(), noisy, Stop(150)).x, truth) * float(truth.norm()) / N
    agreement(
        "operator.phase-retrieval by solver.gradient-descent",
        "the error that least squares leave of noise, 2σ/√(L − 2)",
        abs(error / (2 * sigma / (6 - 2) ** 0.5) - 1),
        0.1,
        "relative: patterns are not quite independent numbers",
    )


def test_counts_are_explained_best_by_their_own_likelihood(agreement):
    """A hundred photons for a unit of intensity: √counts have a standard deviation of ½, amplitudes one of 0.05."""
    problem, truth = coded_diffraction(2, 2)
    poisson = Poisson(gain=100.0, background=0.01)
    y = poisson.sample(problem.y, Draw(0, (0, 0, 0), tuple(problem.y.shape)))
    error = {
        likelihood: aligned_error(preimage.solve(descend(), replace(problem, y=y, likelihood=likelihood)).x, truth)
        for likelihood in (poisson, Gaussian())
    }
    at_least = 2 * 0.05 / (6 - 2) ** 0.5 * N / float(truth.norm())  # that of amplitudes with as much noise
    assert error[poisson] < 0.9 * error[Gaussian()]
    agreement(
        "likelihood.poisson by solver.gradient-descent",
        "the error that amplitudes of as much noise leave",
        abs(error[poisson] / at_least - 1),
        0.1,
        "relative: patterns are not quite independent numbers",
    )


class Matrix(LinearOperator):
    """A real matrix."""

    def __init__(self, matrix: Tensor) -> None:
        m, n = matrix.shape
        super().__init__(Space(("x",), (n,), matrix.dtype), Space(("detector",), (m,), matrix.dtype))
        self.matrix = matrix

    def _apply(self, x: Tensor) -> Tensor:
        return x @ self.matrix.mT

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return y @ self.matrix


@dataclass(frozen=True)
class Ridge:
    """½ weight ‖x‖²."""

    weight: float

    def value(self, x: Tensor) -> Tensor:
        return 0.5 * self.weight * x.square().sum()

    def grad(self, x: Tensor) -> Tensor:
        return self.weight * x


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_best_explanation_of_counts_is_that_of_a_convex_solver(weight, agreement):
    """Maximum likelihood, and with a quadratic prior maximum a posteriori, against an interior-point method."""
    random = np.random.default_rng(0)
    matrix, truth = random.random((30, 8)), 1 + random.random(8)
    gain, background = 20.0, 0.15
    y = random.poisson(gain * (matrix @ truth + background)) / gain
    problem = Problem(
        torch.from_numpy(y),
        Matrix(torch.from_numpy(matrix)),
        Poisson(gain, background),
        priors=(Ridge(weight),),
    )
    found = preimage.solve(descend(rule="line-search"), problem, Stop(20_000, tolerance=1e-10)).x

    x = cvxpy.Variable(8)
    divergence = cvxpy.sum(cvxpy.kl_div(y, matrix @ x + background))
    objective = gain * divergence + 0.5 * weight * cvxpy.sum_squares(x)
    least = cvxpy.Problem(cvxpy.Minimize(objective)).solve(
        solver=cvxpy.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9
    )
    method, oracle = "likelihood.poisson by solver.gradient-descent", "cvxpy's Clarabel"
    error, reason = abs(float(problem.objective(found)) / least - 1), "relative: the gap of 1e-9 that it is asked for"
    agreement(method, f"{oracle}, for the objective", error, 1e-8, reason)
    agreement(method, oracle, largest_error(found, x.value), 2e-4, "the root of its gap of 1e-9, over curvatures")
    assert np.abs(x.value - truth).max() > 0.01  # neither is merely the truth


RULES = {
    "adaptive": {},
    "line-search": {"rule": "line-search"},
    "line-search, nesterov": {"rule": "line-search", "momentum": "nesterov"},
    "fixed": {"rule": "fixed", "step": 2.0},
}


@pytest.mark.parametrize("rule", RULES)
def test_counts_of_a_blurred_image_without_a_background_are_explained_as_by_a_convex_solver(rule, agreement):
    """Maximum a posteriori, where a solution of A(x) = 0 is impossible: its gradient is infinite."""
    random = np.random.default_rng(3)
    truth = 4 + 30 * random.random((5, 6))
    blur = preimage.make("operator.blur", xr.Dataset({"truth": (("y", "x"), truth)}), sigma=0.7)
    y = torch.from_numpy(random.poisson(blur(torch.from_numpy(truth)).numpy()).astype(float))
    weight = 0.01
    problem = Problem(y, blur, Poisson(), priors=(Ridge(weight),))
    objectives = []
    found = preimage.solve(
        descend(**RULES[rule]), problem, Stop(4000), observers=[lambda p, s: objectives.append(float(p.objective(s.x)))]
    ).x
    assert np.isfinite(objectives).all()

    matrix = blur(torch.eye(30, dtype=torch.float64).reshape(30, 5, 6)).reshape(30, 30).T.numpy()
    x = cvxpy.Variable(30)
    objective = cvxpy.sum(cvxpy.kl_div(y.flatten().numpy(), matrix @ x)) + 0.5 * weight * cvxpy.sum_squares(x)
    least = cvxpy.Problem(cvxpy.Minimize(objective)).solve(
        solver=cvxpy.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9
    )
    method, oracle = "likelihood.poisson by solver.gradient-descent", "cvxpy's Clarabel"
    error, reason = abs(float(problem.objective(found)) / least - 1), "relative: the gap of 1e-9 that it is asked for"
    agreement(method, f"{oracle}, for the objective", error, 1e-8, reason)
    # δ²/2 times the least curvature, which is at least the prior's, is at most the gap of the objective.
    allowed = (2 * 2e-9 * least / weight) ** 0.5
    agreement(
        method, oracle, largest_error(found.flatten(), x.value), allowed, "√(2 gap/curvature), of its gap of 1e-9"
    )


@pytest.mark.parametrize("rule", RULES)
def test_counts_explain_themselves_best(rule, agreement):
    """With the identity and no background the solution is y itself, from wherever one begins."""
    y = torch.tensor([[2.0, 250.0, 7.0], [31.0, 3.0, 90.0]], dtype=torch.float64)
    identity = preimage.make("operator.identity", xr.Dataset({"truth": (("y", "x"), y.numpy())}))
    problem = Problem(y, identity, Poisson())
    assert torch.equal(preimage.solve(descend(**RULES[rule]), problem, Stop(5)).x, y)
    found = preimage.solve(descend(**RULES[rule]), problem, Stop(4000), x0=torch.full_like(y, float(y.mean()))).x
    error, reason = largest_error(found / y, torch.ones_like(y)), "relative: √ε of the values of a search"
    agreement("likelihood.poisson by solver.gradient-descent", "the counts themselves", error, 1e-7, reason)


def project(**settings: Any) -> Any:
    return preimage.make("solver.proximal-gradient", **settings)


@pytest.mark.parametrize("rule", ["adaptive", "line-search", "line-search, nesterov"])
def test_an_image_above_zero_explains_counts_of_none_as_a_convex_solver_has_it(rule, agreement):
    """Half of the pixels are dark: the best fit lies at the edge of what is possible, A(x) = 0."""
    random = np.random.default_rng(4)
    truth = 30 * random.random((5, 8)) * (np.arange(8) > 3)
    blur = preimage.make("operator.blur", xr.Dataset({"truth": (("y", "x"), truth)}), sigma=0.5)
    y = torch.from_numpy(random.poisson(blur(torch.from_numpy(truth)).clamp_min(0).numpy()).astype(float))
    assert 8 < int((y == 0).sum()) < 32
    problem = Problem(y, blur, Poisson(), priors=(preimage.make("prior.non-negativity", blur.domain),))
    found = preimage.solve(project(**RULES[rule]), problem, Stop(4000)).x
    assert bool((found >= 0).all())

    matrix = blur(torch.eye(40, dtype=torch.float64).reshape(40, 5, 8)).reshape(40, 40).T.numpy()
    x = cvxpy.Variable(40, nonneg=True)
    divergence = cvxpy.sum(cvxpy.kl_div(y.flatten().numpy(), matrix.clip(0) @ x))
    least = cvxpy.Problem(cvxpy.Minimize(divergence)).solve(
        solver=cvxpy.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9
    )
    error, reason = abs(float(problem.objective(found)) / least - 1), "relative: the gap of 1e-9 that it is asked for"
    agreement(
        "likelihood.poisson by solver.proximal-gradient", "cvxpy's Clarabel, for the objective", error, 1e-7, reason
    )


def ambiguous_error(x: Tensor, truth: Tensor) -> float:
    """‖x − truth‖ / ‖truth‖ with the best sign, shift and flip of x: least where they correlate most."""
    padded = [2 * n for n in truth.shape]
    spectra = [torch.fft.fft2(image, padded) for image in (x, x.flip(0, 1))]
    most = max(
        float(torch.fft.ifft2(torch.fft.fft2(truth, padded) * spectrum.conj()).real.abs().max()) for spectrum in spectra
    )
    return max(float(x.square().sum() + truth.square().sum()) - 2 * most, 0) ** 0.5 / float(truth.norm())


@pytest.mark.parametrize("power", [1, 2])
def test_a_support_helps_to_tell_an_object_from_one_fourier_pattern(power):
    """Of a real object, padded twice. Projected gradients do not always find it, but get nearer than plain ones."""
    errors = []
    for seed in range(4):
        truth = np.zeros((16, 16))
        truth[4:12, 5:11] = np.random.default_rng(seed).random((8, 6))
        dataset = xr.Dataset({"truth": (("y", "x"), truth)})
        settings = phase_retrieval.Settings(model="fourier", object="real", power=power)
        operator = phase_retrieval.preimage_operator(settings, dataset, {})
        x = torch.from_numpy(truth)
        plain = Problem(operator(x), operator, seed=seed)
        support = preimage.make("prior.support", operator.domain, box={"y": [4, 12], "x": [5, 11]})
        inside = replace(plain, priors=(support,), on=(None,))
        found = preimage.solve(project(), inside, Stop(300)).x
        assert not found[x == 0].any()
        errors.append((ambiguous_error(preimage.solve(descend(), plain, Stop(300)).x, x), ambiguous_error(found, x)))
    without, within = np.mean(errors, 0)
    assert within < 0.75 * without
    assert all(after < before for before, after in errors)
