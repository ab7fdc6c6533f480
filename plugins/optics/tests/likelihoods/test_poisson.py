from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import ValidationError
from scipy import optimize, stats

from preimage.data import located
from preimage.errors import DataError
from preimage.randomness import Draw
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


@pytest.mark.parametrize("settings", [{"gain": 0}, {"gain": float("inf")}, {"background": -1}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        Settings(**settings)
