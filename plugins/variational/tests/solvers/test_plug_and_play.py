from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError

from preimage.errors import CapabilityError, RequestError
from preimage.likelihoods import Gaussian
from preimage.movable import Movable
from preimage.operators import Identity
from preimage.problem import Problem
from preimage.solving import Stop, solve
from preimage.space import Blocks, ProductSpace, Space
from preimage.testing import SolverLaws
from preimage.testing.agreement import largest_error
from preimage.testing.toys import Toy
from preimage_variational.examples import IMAGE, Dense, problems
from preimage_variational.priors.l1 import L1Norm
from preimage_variational.solvers import plug_and_play
from preimage_variational.solvers.plug_and_play import Settings, preimage_scalars, preimage_solver
from preimage_variational.solvers.plug_and_play_forms import Schedule, SplitForm

SIGMA, WEIGHT = 0.6, 0.25
RHO = WEIGHT / SIGMA**2
LONG = Stop(5000, tolerance=1e-14)
SPLIT_UPDATES = ["closed-form", "conjugate-gradient"]
LEFT = 1e-10, "a relative change below 1e-14 at a linear rate of 0.999 or better leaves 1e-11"
KKT = "the lasso's conditions of Karush, Kuhn and Tucker"


class TestLaws(SolverLaws):
    method = plug_and_play


class Linear(Movable):
    """D(x, σ) = (I + σ²Q)⁻¹ x, the prox of ½σ²xᴴQx."""

    def __init__(self, matrix):
        self.matrix = matrix

    def denoise(self, x, sigma):
        pixels = x.flatten(-3)
        denoising = torch.eye(pixels.shape[-1], dtype=x.dtype) + sigma**2 * self.matrix
        return torch.linalg.solve(denoising, pixels[..., None])[..., 0].reshape(x.shape)


class Soft(Movable):
    """D(x, σ) = the soft threshold of x by σ² · threshold, the prox of σ² · threshold ‖·‖₁."""

    def __init__(self, threshold):
        self.norm = L1Norm(threshold)

    def denoise(self, x, sigma):
        return self.norm.prox(x, sigma**2)


class Same:
    """D(x, σ) = x, the very tensor."""

    def denoise(self, x, sigma):
        return x


@pytest.fixture(scope="module")
def smooth():
    """A Q that is positive semidefinite, and mixes the pixels."""
    n = math.prod(IMAGE.shape)
    factor = torch.randn(n - 1, n, dtype=IMAGE.dtype, generator=torch.Generator().manual_seed(3))
    return factor.mH @ factor / n


def made(form, sigma=SIGMA, **settings):
    if form != "fista":
        settings.setdefault("weight", WEIGHT)
    return preimage_solver(Settings(form=form, sigma=sigma, **settings))


def with_denoiser(problem, denoiser):
    return Problem(problem.y, problem.operator, priors=(denoiser,))


def solution(problem, regularisation):
    """(AᴴA + regularisation)⁻¹ Aᴴy."""
    matrix = problem.operator.matrix
    return torch.linalg.solve(matrix.mH @ matrix + regularisation, matrix.mH @ problem.y)


def arrived(solver, problem, stop=LONG):
    return solve(solver, problem, stop).x.flatten()


@pytest.mark.parametrize("index", range(3))
def test_fista_with_a_linear_denoiser_arrives_at_its_closed_form(index, smooth, agreement):
    """σ² = λτ with the step τ = 1/‖A‖²."""
    problem = list(problems())[index]
    largest = problem.operator.norm().value ** 2
    expected = solution(problem, SIGMA**2 * largest * smooth)
    error = largest_error(arrived(made("fista"), with_denoiser(problem, Linear(smooth))), expected)
    agreement("solver.plug-and-play", "FISTA with a linear denoiser in closed form", error, *LEFT)
    wrong = solution(problem, SIGMA**2 * smooth)
    assert float((wrong - expected).norm()) > 0.01


@pytest.mark.parametrize("update", SPLIT_UPDATES)
@pytest.mark.parametrize("index", range(3))
def test_admm_with_a_linear_denoiser_arrives_at_its_closed_form_whatever_sigma(index, update, smooth, agreement):
    """σ² = λ/ρ."""
    problem = list(problems())[index]
    expected = solution(problem, WEIGHT * smooth)
    for sigma in (SIGMA, 2 * SIGMA, (3 * SIGMA, SIGMA)):
        found = arrived(made("admm", sigma, image_update=update), with_denoiser(problem, Linear(smooth)))
        error = largest_error(found, expected)
        agreement("solver.plug-and-play", "ADMM with a linear denoiser in closed form", error, *LEFT)


@pytest.mark.parametrize("update", SPLIT_UPDATES)
@pytest.mark.parametrize("index", range(3))
def test_hqs_with_a_linear_denoiser_arrives_at_another_closed_form(index, update, smooth, agreement):
    """It minimises over x the least over z: x = Dz with z = (AᴴA + ρ(I − D))⁻¹Aᴴy, and ρ(I − D) → λQ for σ → 0."""
    problem = list(problems())[index]
    denoising = torch.linalg.inv(torch.eye(len(smooth)) + SIGMA**2 * smooth)
    expected = denoising @ solution(problem, RHO * (torch.eye(len(smooth)) - denoising))
    error = largest_error(arrived(made("hqs", image_update=update), with_denoiser(problem, Linear(smooth))), expected)
    agreement("solver.plug-and-play", "HQS with a linear denoiser in closed form", error, *LEFT)
    limit = solution(problem, WEIGHT * smooth)
    assert float((expected - limit).norm()) > 0.01


def test_hqs_comes_near_the_minimum_for_a_small_sigma(smooth):
    problem = next(iter(problems()))
    limit = solution(problem, WEIGHT * smooth)
    errors = []
    for sigma in (0.1, 0.05):
        found = arrived(made("hqs", sigma), with_denoiser(problem, Linear(smooth)), Stop(100000, 1e-14))
        errors.append(float((found - limit).norm()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)  # of the order of σ²


def _lasso():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(20, 40, dtype=torch.float64, generator=generator) / math.sqrt(20)
    truth = torch.randn(40, dtype=torch.float64, generator=generator) * (torch.rand(40, generator=generator) < 0.15)
    y = matrix @ truth + 0.05 * torch.randn(20, dtype=torch.float64, generator=generator)
    return Problem(y, Dense(matrix, Space(("z", "y", "x"), (40, 1, 1), torch.float64)))


@pytest.mark.parametrize("form", ["fista", "admm"])
def test_with_a_soft_threshold_it_solves_the_lasso(form, agreement):
    """|Aᵀ(y − Ax)| ≤ λ everywhere, and λ·sign(x) where x is not 0 (Karush, Kuhn and Tucker)."""
    problem, threshold = _lasso(), 0.4
    largest = problem.operator.norm().value ** 2
    weight = threshold * (SIGMA**2 * largest if form == "fista" else WEIGHT)
    if form == "fista":
        threshold, weight = threshold / largest / SIGMA**2 * WEIGHT, threshold * WEIGHT
    x = solve(made(form), with_denoiser(problem, Soft(threshold)), Stop(20000, 1e-14)).x
    pull, support = -problem.data_gradient(x), x != 0
    assert 0 < int(support.sum()) < x.numel()
    beyond = max(float(pull.abs().max()) / weight - 1, 0.0)
    for error in (beyond, largest_error(pull[support] / weight, x[support].sign())):
        reason = "of λ: a change below 1e-14 at a linear rate of 0.999 or better leaves 1e-11, times ‖A‖²/λ = 60"
        agreement("solver.plug-and-play", KKT, error, 1e-8, reason)


def test_with_a_soft_threshold_hqs_solves_with_huber_s_function(agreement):
    """The least over x of λ|x| + ½ρ(z − x)² is Huber's function of z, whose slope is ρz, and λ·sign(z) at most."""
    problem, threshold = _lasso(), 0.4
    state = solve(made("hqs"), with_denoiser(problem, Soft(threshold)), Stop(20000, 1e-14))
    slope = (RHO * state.fitted).clamp(-WEIGHT * threshold, WEIGHT * threshold)
    error = largest_error(-problem.data_gradient(state.fitted), slope)
    reason = "a relative change below 1e-14 at a linear rate of 0.999 or better, seen through curvatures of some 10"
    agreement("solver.plug-and-play", "the slope of Huber's function, for HQS", error, 1e-9, reason)


def test_admm_is_the_paper_s_iteration(smooth, agreement):
    problem, denoiser = next(iter(problems())), Linear(smooth)
    matrix, data = problem.operator.matrix, problem.operator.adjoint(problem.y).flatten()
    normal = matrix.mH @ matrix + RHO * torch.eye(len(smooth), dtype=matrix.dtype)
    v = u = torch.zeros_like(data)
    for _ in range(5):
        x = torch.linalg.solve(normal, data + RHO * (v - u))
        v = denoiser.denoise((x + u).reshape(IMAGE.shape), SIGMA).flatten()
        u = u + x - v
    found = solve(made("admm"), with_denoiser(problem, denoiser), Stop(5))
    for part, expected in ((found.fitted, x), (found.x, v), (found.multiplier, u)):
        error, reason = largest_error(part.flatten(), expected), "five steps of rounding, at a condition of 4"
        agreement("solver.plug-and-play", "the paper's ADMM with a dense matrix", error, 1e-13, reason)


def test_where_it_has_arrived_a_change_of_sigma_moves_nothing(smooth):
    """The multiplier is a gradient of R times σ²: not kept in proportion, it would throw the image off."""
    problem = with_denoiser(next(iter(problems())), Linear(smooth))
    state = solve(made("admm"), problem, LONG)
    expected = state.x.clone()
    following = SplitForm(Schedule(SIGMA, 3 * SIGMA, 2), Stop(1), WEIGHT, multipliers=True)
    state = replace(state, iteration=1)  # the first step with the second σ
    with torch.no_grad():
        for _ in range(3):
            state = following.step(problem, state)
    torch.testing.assert_close(state.x, expected, rtol=0, atol=1e-10)


def test_sigma_falls_geometrically_and_stays():
    schedule = Schedule(1.0, 0.01, 5)
    assert [schedule(i) for i in range(7)] == pytest.approx([1, 10**-0.5, 0.1, 10**-1.5, 0.01, 0.01, 0.01])
    assert Schedule(0.2, 0.2, 30)(7) == pytest.approx(0.2, rel=1e-15)
    assert Schedule(0.2, 0.1, 1)(0) == 0.2


def test_the_denoiser_is_told_the_sigmas_of_the_schedule():
    told = []

    class Listening(Same):
        def denoise(self, x, sigma):
            told.append(sigma)
            return x * 0.5

    for form in ("fista", "admm", "hqs"):
        told.clear()
        solve(made(form, (0.4, 0.1), max_iter=3), with_denoiser(next(iter(problems())), Listening()))
        assert told == pytest.approx([0.4, 0.2, 0.1])


def test_the_weight_is_the_variance_of_the_noise_if_not_given(smooth):
    problem = with_denoiser(next(iter(problems())), Linear(smooth))
    known = replace(problem, likelihood=Gaussian(math.sqrt(WEIGHT)))
    found, expected = arrived(made("admm", weight=None), known), arrived(made("admm"), problem)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    with pytest.raises(RequestError, match="which is not known: set the weight, or the std of the likelihood"):
        solve(made("admm", weight=None), problem)


@pytest.mark.parametrize(("form", "update"), [("fista", "auto"), ("admm", "closed-form"), ("hqs", "closed-form")])
def test_blocks_of_any_length_agree_where_nothing_couples(form, update):
    solver = made(form, 0.3, image_update=update)
    assert not solver.couples
    numbers = {"norm": Toy().problem().operator.norm().value}
    whole = solve(solver, replace(Toy().problem(), scalars=numbers), Stop(6)).x
    for cuts in ((0, 2, 5), (0, 1, 4, 5)):
        parts = [
            solve(solver, replace(Toy().problem(rows=slice(*ends)), scalars=numbers), Stop(6)).x
            for ends in pairwise(cuts)
        ]
        torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-12)


def test_with_conjugate_gradients_blocks_couple():
    assert made("admm").couples
    assert made("hqs", image_update="conjugate-gradient").couples


@pytest.mark.parametrize("form", ["fista", "admm", "hqs"])
def test_a_denoiser_that_returns_its_argument_spoils_nothing(form, smooth):
    problem = next(iter(problems()))
    as_it_is, copied = with_denoiser(problem, Same()), with_denoiser(problem, Linear(0 * smooth))
    settings = {} if form == "fista" else {"image_update": "conjugate-gradient"}
    found, expected = (solve(made(form, **settings), p, Stop(4)).x for p in (as_it_is, copied))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("form", ["fista", "admm", "hqs"])
def test_a_denoiser_is_for_the_unknown_that_it_names(form):
    space = ProductSpace(image=IMAGE, field=Space(("x",), (4,), torch.complex128))
    y = space.randn(torch.Generator().manual_seed(4))
    found = solve(made(form, 0.5), Problem(y, Identity(space), priors=(Soft(1.0),), on=("image",)), Stop(300)).x
    assert isinstance(found, Blocks)
    alone = solve(made(form, 0.5), Problem(y["image"], Identity(IMAGE), priors=(Soft(1.0),)), Stop(300)).x
    torch.testing.assert_close(found["image"], alone, rtol=0, atol=1e-12)
    torch.testing.assert_close(found["field"], y["field"], rtol=0, atol=1e-10)


def test_what_it_needs_is_said():
    with pytest.raises(CapabilityError, match=r"prior 1 \(L1Norm\) is no Denoiser"):
        solve(made("admm"), Problem(IMAGE.zeros(), Identity(IMAGE), priors=(L1Norm(1.0),)))
    with pytest.raises(CapabilityError, match="exactly 1 prior"):
        solve(made("fista"), Problem(IMAGE.zeros(), Identity(IMAGE)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "sigma"),
        ({"sigma": 0}, "greater than 0"),
        ({"sigma": (0.1, 0.0)}, "greater than 0"),
        ({"sigma": 0.1, "form": "fista", "weight": 1.0}, "the weight of `fista` is"),
        ({"sigma": (0.2, 0.1), "tolerance": 1e-3}, "tolerance needs one sigma"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Settings(**settings)


def test_the_norm_of_the_run_is_for_gradient_steps_alone():
    assert list(preimage_scalars(Settings(form="fista", sigma=1))) == ["norm"]
    assert preimage_scalars(Settings(sigma=1)) == {}
