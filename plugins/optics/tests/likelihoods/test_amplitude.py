from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import ValidationError

from preimage.data import located
from preimage.errors import DataError
from preimage.randomness import Draw
from preimage.testing import LikelihoodLaws
from preimage_optics import Amplitude
from preimage_optics.likelihoods import amplitude
from preimage_optics.likelihoods.amplitude import Settings, preimage_likelihood


class TestLaws(LikelihoodLaws):
    method = amplitude


U = torch.tensor([3 + 4j, 0, -0.5j, -2], dtype=torch.complex128)
Y = torch.tensor([2.0, 1.0, 0.0, 2.0], dtype=torch.float64)


def dataset(values, **variables) -> xr.Dataset:
    return xr.Dataset({"measurement": (("y", "x"), np.asarray(values)), **variables})


def test_by_hand():
    ell = Amplitude()
    assert float(ell.value(U, Y)) == pytest.approx(0.5 * (3**2 + 1**2 + 0.5**2 + 0))
    expected = torch.tensor([3 * (0.6 + 0.8j), 0, -0.5j, 0], dtype=torch.complex128)
    torch.testing.assert_close(ell.grad(U, Y), expected, rtol=0, atol=1e-15)
    # (|u| + 3 y)/4 with the phase of u, and 1 for a phase where u has none.
    expected = torch.tensor([11 / 4 * (0.6 + 0.8j), 3 / 4, -0.125j, -2], dtype=torch.complex128)
    torch.testing.assert_close(ell.prox(U, Y, 3.0), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_gradient_is_autograds_and_zero_in_the_dark(dtype):
    u = (U if dtype.is_complex else U.real).clone().requires_grad_()
    (found,) = torch.autograd.grad(Amplitude().value(u, Y), u)
    torch.testing.assert_close(Amplitude().grad(u.detach(), Y), found, rtol=0, atol=1e-14)
    assert found[1] == 0


def test_the_prox_is_the_best_of_a_fine_grid():
    u, y, step = U[:1], Y[:1], 0.4
    z = Amplitude().prox(u, y, step)
    grid = torch.linspace(-6, 6, 601, dtype=torch.float64)
    plane = torch.complex(*torch.meshgrid(grid, grid, indexing="ij"))
    costs = 0.5 * (plane.abs() - y).square() + (plane - u).abs().square() / (2 * step)
    at = plane.flatten()[costs.argmin()]
    assert abs(complex(at - z[0])) < 0.02  # the distance of grid points, 0.02 along each axis
    assert float(0.5 * (z.abs() - y).square() + (z - u).abs().square() / (2 * step)) <= float(costs.min())


def test_noise_never_makes_an_amplitude_negative():
    dim = torch.full((50, 40), 0.1, dtype=torch.complex128)
    drawn = Amplitude(1.0).sample(dim, Draw(0, (0, 0), (50, 40)))
    assert float(drawn.min()) == 0
    assert drawn.dtype == torch.float64
    # Of these, a share of Φ(−0.1) = 0.46 was negative.
    assert abs(float((drawn == 0).double().mean()) - 0.4602) < 5 * 0.5 / 2000**0.5


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
