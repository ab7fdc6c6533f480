from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import ValidationError

from preimage.data import located
from preimage.errors import DataError
from preimage.likelihoods import Gaussian
from preimage.operators import Identity
from preimage.problem import Problem
from preimage.randomness import Draw
from preimage.solving import initial_estimate
from preimage.space import Space
from preimage.testing import LikelihoodLaws
from preimage.testing.agreement import largest_error
from preimage_optics import Amplitude, GaussianMap, Phaseless
from preimage_optics.likelihoods import amplitude
from preimage_optics.likelihoods.amplitude import Settings, preimage_likelihood
from preimage_optics.maps.drawn import gaussian_matrix


class TestLaws(LikelihoodLaws):
    method = amplitude


U = torch.tensor([3 + 4j, 0, -0.5j, -2], dtype=torch.complex128)
Y = torch.tensor([2.0, 1.0, 0.0, 2.0], dtype=torch.float64)


def dataset(values, **variables) -> xr.Dataset:
    return xr.Dataset({"measurement": (("y", "x"), np.asarray(values)), **variables})


def test_by_hand(agreement):
    ell = Amplitude()
    assert float(ell.value(U, Y)) == pytest.approx(0.5 * (3**2 + 1**2 + 0.5**2 + 0))
    expected = torch.tensor([3 * (0.6 + 0.8j), 0, -0.5j, 0], dtype=torch.complex128)
    torch.testing.assert_close(ell.grad(U, Y), expected, rtol=0, atol=1e-15)
    # (|u| + 3 y)/4 with the phase of u, and 1 for a phase where u has none.
    expected = torch.tensor([11 / 4 * (0.6 + 0.8j), 3 / 4, -0.125j, -2], dtype=torch.complex128)
    error = largest_error(ell.prox(U, Y, 3.0), expected)
    agreement("likelihood.amplitude", "its prox by hand", error, 1e-15, "four numbers up to 3, rounded: 2 ε")


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_gradient_is_autograds_and_zero_in_the_dark(dtype, agreement):
    u = (U if dtype.is_complex else U.real).clone().requires_grad_()
    (found,) = torch.autograd.grad(Amplitude().value(u, Y), u)
    error = largest_error(Amplitude().grad(u.detach(), Y), found)
    agreement("likelihood.amplitude", "torch's autograd of the value", error, 1e-14, "rounding of a few operations")
    assert found[1] == 0


@pytest.mark.parametrize("power", [1, 2])
def test_of_data_that_are_magnitudes_already_it_makes_what_gaussian_does(power):
    """So whatever the power of the operator, least squares of its data: of intensities, where these are measured."""
    linear = GaussianMap(Space(("x",), (4,), torch.complex128), ("x",), gaussian_matrix(20, 4, seed=0))
    operator = Phaseless(linear, power)
    x, truth = torch.randn(2, 4, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    own, least_squares = (Problem(operator(truth), operator, one) for one in (Amplitude(), Gaussian()))
    torch.testing.assert_close(own.gradient(x), least_squares.gradient(x), rtol=1e-14, atol=1e-14)
    assert float(own.objective(x)) == pytest.approx(float(least_squares.objective(x)), rel=1e-14)


def test_the_prox_is_the_best_of_a_fine_grid(agreement):
    u, y, step = U[:1], Y[:1], 0.4
    z = Amplitude().prox(u, y, step)
    grid = torch.linspace(-6, 6, 601, dtype=torch.float64)
    plane = torch.complex(*torch.meshgrid(grid, grid, indexing="ij"))
    costs = 0.5 * (plane.abs() - y).square() + (plane - u).abs().square() / (2 * step)
    at = plane.flatten()[costs.argmin()]
    error = abs(complex(at - z[0]))
    agreement("likelihood.amplitude", "the best point of a fine grid, for the prox", error, 0.02, "a step of the grid")
    assert float(0.5 * (z.abs() - y).square() + (z - u).abs().square() / (2 * step)) <= float(costs.min())


def test_noise_never_makes_an_amplitude_negative():
    dim = torch.full((50, 40), 0.1, dtype=torch.complex128)
    drawn = Amplitude(1.0).sample(dim, Draw(0, (0, 0), (50, 40)))
    assert float(drawn.min()) == 0
    assert drawn.dtype == torch.float64
    # Of these, a share of Φ(−0.1) = 0.46 was negative.
    assert abs(float((drawn == 0).double().mean()) - 0.4602) < 5 * 0.5 / 2000**0.5


@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64])
def test_fields_of_a_linear_map_start_from_its_spectral_estimate(dtype):
    domain = Space(("x",), (8,), dtype)
    linear = GaussianMap(domain, ("x",), gaussian_matrix(64, 8, seed=0))
    truth = domain.randn(torch.Generator().manual_seed(0), (2,))
    problem = Problem(linear(truth).abs(), linear, Amplitude(), seed=3)
    start = initial_estimate(problem)
    torch.testing.assert_close(start, Phaseless(linear, power=1).initial(problem.y, seed=3), rtol=0, atol=1e-13)
    assert float(problem.residual(start).max()) < 0.5
    assert not problem.data_gradient(problem.zeros()).any()  # from 0 nothing would lead away


def test_pixels_that_are_seen_one_by_one_start_at_what_is_seen():
    image = Space(("y", "x"), (3, 4), torch.complex128)
    y = torch.rand(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y[0, 1, 1] = 0
    problem = Problem(y, Identity(image), Amplitude())
    torch.testing.assert_close(initial_estimate(problem).abs(), y, rtol=1e-14, atol=0)


def test_the_setting_goes_before_the_dataset_and_nothing_means_unknown():
    noisy = dataset([[1.0]], noise_std=((), 0.5))
    assert preimage_likelihood(Settings(std=2.0), noisy).std == 2.0
    assert preimage_likelihood(Settings(), noisy).std == 0.5
    assert preimage_likelihood(Settings(), dataset([[1.0]])).std is None
    assert preimage_likelihood(Settings(), xr.Dataset()).std is None  # before a simulation
    assert preimage_likelihood(Settings(), noisy).rescaled(10).std == 5
    with pytest.raises(DataError, match="noise_std is -1.0: a standard deviation"):
        preimage_likelihood(Settings(), dataset([[1.0]], noise_std=((), -1.0)))
    with pytest.raises(ValidationError):
        Settings(std=-1)


def test_a_negative_amplitude_is_named_with_its_place_in_the_whole_and_the_cure():
    values = np.ones((4, 3))
    values[2, 1] = -0.25
    with pytest.raises(DataError, match=r"an amplitude is ≥ 0, and 'measurement' is -0.25 at y = 2, x = 1: .*gaussian"):
        preimage_likelihood(Settings(), located(dataset(values), {"y": slice(1, 4)}))
    mask = ("y", [True, True, False, True])
    assert preimage_likelihood(Settings(), dataset(values, mask=mask)) == Amplitude()  # not measured there
    with pytest.raises(DataError, match="needs a real 'measurement': it is complex128"):
        preimage_likelihood(Settings(), dataset(values * 1j))
