from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import ValidationError
from scipy import optimize, stats

import preimage
from preimage import Problem
from preimage.data import located
from preimage.errors import DataError
from preimage.operators import Identity, LinearOperator, hstack
from preimage.randomness import Draw
from preimage.solving import initial_estimate
from preimage.space import Space
from preimage.testing import LikelihoodLaws
from preimage_optics import Poisson
from preimage_optics.likelihoods import poisson
from preimage_optics.likelihoods.poisson import Settings, preimage_likelihood


class TestLaws(LikelihoodLaws):
    method = poisson


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


CASES = [(0.3, 2.0, 0.0, 5.0), (40.0, 1.0, 0.5, 3.0), (2.0, 3.0, 0.0, 0.0), (1e-3, 2e6, 1e-5, 2100.0)]
"""u, gain, background, and how many were counted."""


@pytest.mark.parametrize(("u", "gain", "background", "counts"), CASES)
def test_the_value_is_the_negative_log_density_but_for_what_y_alone_decides(u, gain, background, counts, agreement):
    rate = gain * (u + background)
    expected = stats.poisson.logpmf(counts, counts) - stats.poisson.logpmf(counts, rate)
    rounding = 1e-14 * (1 + counts * np.log1p(counts))
    found = Poisson(gain, background).value(tensor(u), tensor(counts / gain))
    agreement(
        "likelihood.poisson",
        "SciPy's logpmf",
        abs(float(found) - expected),
        rounding,
        "logpmf is a difference of terms of about k log k for k counts: their rounding",
    )


@pytest.mark.parametrize(("u", "gain", "background", "counts"), CASES)
@pytest.mark.parametrize("step", [1e-9, 0.1, 1e3])
def test_the_prox_is_where_its_derivative_vanishes(u, gain, background, counts, step, agreement):
    """v (v − background − u) + step · gain · (v − y) = 0, by bisection in v ≥ 0."""
    y = counts / gain

    def derivative(v: float) -> float:
        return v * (v - background - u) + step * gain * (v - y)

    # Without counts it is negative for small v, unless v = 0 is the minimum already.
    low = 0.0 if counts else 1e-12
    high = 1 + y + u + background
    expected = optimize.brentq(derivative, low, high, xtol=1e-300, rtol=1e-14) if derivative(1e-12) < 0 else 0.0
    v = Poisson(gain, background).prox(tensor(u), tensor(y), step) + background
    agreement(
        "likelihood.poisson",
        "SciPy's brentq, on the derivative of the prox",
        abs(float(v) - expected),
        max(1e-12 * expected, 1e-15 * background),
        "a root to 1e-12 of it; the background, subtracted and added again, rounds",
    )


def test_many_counts_in_single_precision_lose_no_digits():
    """A deviation of one standard deviation costs ½, also where counts are a million: y log y is not taken apart."""
    y = torch.tensor([1e6])
    assert float(Poisson().value(y + 1e3, y)) == pytest.approx(0.5, rel=1e-3)
    assert float(Poisson().value(y, y)) == 0


def test_outside_the_domain_the_value_is_infinite_and_prox_and_gradient_lead_back():
    ell, y = Poisson(gain=2.0, background=0.5), tensor(1.5)
    assert float(ell.value(tensor(-0.6), y)) == torch.inf
    assert float(ell.value(tensor(-0.5), y)) == torch.inf  # nothing is expected, and something was counted
    assert float(ell.value(tensor(-0.5), tensor(0.0))) == 0
    assert float(ell.prox(tensor(-50.0), y, 1.0)) > -0.5
    assert float(ell.prox(tensor(-50.0), tensor(0.0), 1.0)) == -0.5
    for u in (-0.6, -0.5):
        slope = ell.grad(tensor(u), y)
        assert bool(torch.isfinite(slope).all())
        assert float(slope) < 0
    assert bool(torch.isfinite(Poisson().grad(torch.zeros(1), torch.tensor([1e6]))).all())


def test_samples_are_counts_of_the_gain_and_background(agreement):
    n = 20_000
    data = Poisson(gain=20.0, background=0.15).sample(tensor(0.1).expand(n), Draw(0, (0,), (n,)))
    counts = 20 * data.numpy()
    np.testing.assert_allclose(counts, counts.round(), rtol=0, atol=1e-12)
    # Mean and variance are 5: their standard errors are √(5/n) and √((5 + 2·25)/n).
    for error in (abs(counts.mean() - 5) / np.sqrt(5 / n), abs(counts.var() - 5) / np.sqrt(55 / n)):
        reason = "standard errors: one in a million tries is beyond"
        agreement("likelihood.poisson", "mean and variance of Poisson's law, of samples", error, 5, reason)
    assert abs(counts.mean() - 5 * 1.05) > 5 * np.sqrt(5 / n)  # the check can fail


def test_samples_of_a_negative_truth_are_refused():
    with pytest.raises(DataError, match=r"A\(x\) \+ background is -0.5 somewhere"):
        Poisson(gain=2.0).sample(tensor(1.0, -0.5), Draw(0, (0,), (2,)))


def test_a_negative_count_is_named_with_its_place_in_the_whole_and_the_cure():
    counts = np.array([[3.0, 0.0], [2.0, -4.0]])
    data = xr.Dataset({"measurement": (("y", "x"), counts)})
    with pytest.raises(DataError, match=r"a count is ≥ 0, and 'measurement' is -4 at y = 1, x = 1: .*background"):
        preimage_likelihood(Settings(), located(data, {"y": slice(1, 2)}))
    assert preimage_likelihood(Settings(gain=2.0), data.isel(y=[0])) == Poisson(gain=2.0)
    assert preimage_likelihood(Settings(), xr.Dataset()) == Poisson()  # before a simulation


def test_what_a_transform_rounds_below_zero_is_zero():
    """An image of 0 beside one of 10⁴, after an FFT there and back in single precision."""
    image = torch.zeros(256)
    image[:8] = 1e4
    u = torch.fft.ifft(torch.fft.fft(image, norm="ortho"), norm="ortho").real.contiguous() - 1e-4
    assert float(u.min()) < 0
    counts = Poisson().sample(u, Draw(0, (0,), (256,)))
    assert not counts[8:].any()
    assert bool(Poisson().value(u, counts).isfinite())
    assert float(Poisson().value(u - 1, counts)) == torch.inf  # which is more than rounding


class Nonnegative(LinearOperator):
    """A matrix, here of numbers ≥ 0, for every element of a batch."""

    def __init__(self, matrix: torch.Tensor) -> None:
        m, n = matrix.shape
        super().__init__(Space(("x",), (n,), matrix.dtype), Space(("detector",), (m,), matrix.dtype))
        self.matrix = matrix

    def _apply(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.matrix.mT

    def _apply_adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return y @ self.matrix


def problem(matrix: torch.Tensor, y: torch.Tensor, **settings: float) -> Problem:
    return Problem(y, Nonnegative(matrix), Poisson(**settings))


def random(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_a_linear_operators_problem_starts_where_as_many_counts_are_expected_as_there_are():
    matrix, y = random(7, 4), torch.floor(8 * random(3, 7))
    matrix[2], y[:, 2] = 0, 0  # a pixel that nothing reaches
    y[1] = 0
    sparse = problem(torch.where(matrix > 0.4, matrix, 0), y)
    start = initial_estimate(sparse)
    torch.testing.assert_close(sparse.operator(start).sum(-1), y.sum(-1), rtol=1e-14, atol=0)
    assert not start[1].any()
    assert bool(sparse.objective(start).isfinite().all())
    for i in range(3):
        torch.testing.assert_close(initial_estimate(problem(sparse.operator.matrix, y[i])), start[i])


def test_what_is_a_solution_is_a_start_and_the_background_is_taken_off():
    y = tensor(3.0, 0.0, 7.0)
    space = Space(("x",), (3,), torch.float64)
    assert torch.equal(initial_estimate(Problem(y, Identity(space), Poisson())), y)
    assert torch.equal(initial_estimate(Problem(y, Identity(space), Poisson(background=2.0))), tensor(1.0, 0.0, 5.0))
    both = Problem(y, hstack(near=Identity(space), far=2 * Identity(space)), Poisson())
    start = initial_estimate(both)
    assert torch.equal(start["near"], y / 3)  # of equal images
    assert torch.equal(start["far"], y / 3)


def test_where_that_expects_fewer_than_none_the_start_is_zero():
    matrix = torch.tensor([[1.0, -2.0], [1.0, 1.0]], dtype=torch.float64)
    y = tensor(4.0, 4.0)
    assert not initial_estimate(problem(matrix, y, background=1.0)).any()
    assert not initial_estimate(problem(matrix, torch.stack([y, y]))).any()


def test_counts_of_a_complex_image_are_refused_also_when_they_are_simulated():
    """With the cure, and before any values are read; a phase-retrieval operator makes real data of a complex object."""
    image = np.ones((4, 4), complex)
    data = xr.Dataset({"truth": (("y", "x"), image)})
    how = {"likelihood": "poisson", "solver": "pdhg"}
    with pytest.raises(DataError, match="likelihood Poisson is of real numbers, and A\\(x\\) is complex: take real"):
        preimage.reconstruct(data, operator="identity", simulate={}, **how)
    real = Problem(torch.ones(4, 4, dtype=torch.float64), Identity(Space(("y", "x"), (4, 4), torch.complex128)))
    with pytest.raises(DataError, match="is of real numbers"):
        initial_estimate(replace(real, likelihood=Poisson()))
    found = preimage.reconstruct(
        data,
        operator="phase-retrieval",
        simulate={},
        likelihood={"use": "poisson", "gain": 100.0},
        solver={"use": "gradient-descent", "max_iter": 2},
    )
    assert bool(np.isfinite(found.values).all())


@pytest.mark.parametrize("settings", [{"gain": 0}, {"gain": float("inf")}, {"background": -1}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        Settings(**settings)
