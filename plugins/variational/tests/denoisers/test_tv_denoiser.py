from __future__ import annotations

import cmath

import numpy as np
import pytest
import skimage.data
import torch
from skimage.restoration import denoise_tv_chambolle

from preimage.errors import RequestError
from preimage.space import ProductSpace, Space
from preimage.testing import PriorLaws
from preimage.testing.agreement import largest_error
from preimage_variational.denoisers import tv_denoiser
from preimage_variational.denoisers.tv_denoiser import Settings, preimage_prior

SIGMA = 0.1


class TestLaws(PriorLaws):
    method = tv_denoiser


@pytest.fixture(scope="module")
def photograph():
    """A clean photograph, and one with noise."""
    clean = torch.from_numpy(skimage.data.camera()[100:228:2, 200:328:2] / 255.0)
    return clean, clean + SIGMA * torch.randn(
        clean.shape, dtype=clean.dtype, generator=torch.Generator().manual_seed(0)
    )


def _denoiser(x, **settings):
    return preimage_prior(Settings(**settings), Space(("z", "y", "x")[-x.ndim :], tuple(x.shape), x.dtype))


def _objective(z, x, weight):
    steps = [np.diff(z, axis=a, append=np.take(z, [-1], a)) for a in range(z.ndim)]
    return 0.5 * np.sum(np.abs(z - x) ** 2) + weight * np.sqrt(sum(np.abs(s) ** 2 for s in steps)).sum()


@pytest.mark.parametrize("volume", [False, True], ids=["2D", "3D"])
def test_with_many_iterations_it_is_chambolle_s_of_scikit_image(photograph, volume, agreement):
    x = photograph[1][:32, :24].reshape(4, 8, 24) if volume else photograph[1]
    found = _denoiser(x, iterations=2000).denoise(x, SIGMA).numpy()
    expected = denoise_tv_chambolle(x.numpy(), weight=0.8 * SIGMA, eps=1e-12, max_num_iter=5000)
    # The dual objective is below the least one, and ½‖z − z*‖² is no more than how far that of z is above.
    bound = 0.5 * np.sum(x.numpy() ** 2) - 0.5 * np.sum(found**2)
    ours, theirs = (_objective(z, x.numpy(), 0.8 * SIGMA) - bound for z in (found, expected))
    assert 0 < ours < 1e-5 * bound
    assert 0 < theirs < 1e-5 * bound
    agreement(
        "prior.tv-denoiser",
        "scikit-image's denoise_tv_chambolle",
        np.linalg.norm(found - expected),
        np.sqrt(2 * ours) + np.sqrt(2 * theirs),
        "duality gaps of both: ½‖z − z*‖² is no more",
    )


def test_the_default_strength_is_about_the_best_for_a_photograph(photograph):
    clean, noisy = photograph

    def error(strength):
        return float((_denoiser(noisy, strength=strength).denoise(noisy, SIGMA) - clean).square().mean()) / SIGMA**2

    best = min(error(strength) for strength in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2))
    assert error(Settings().strength) < 1.15 * best < 0.4
    assert error(0.1) > 2 * best
    assert error(4.0) > 2 * best


def test_thirty_iterations_are_near_the_end(photograph):
    _, noisy = photograph
    end = _denoiser(noisy, iterations=1000).denoise(noisy, SIGMA)
    assert float((_denoiser(noisy).denoise(noisy, SIGMA) - end).norm()) < 0.05 * SIGMA * 64


def test_two_plateaus_move_towards_each_other(agreement):
    x = torch.tensor([0.0] * 3 + [1 + 1j] * 4, dtype=torch.complex128)
    towards = 0.8 * SIGMA * (1 + 1j) / abs(1 + 1j)
    expected = x + towards * torch.tensor([1 / 3] * 3 + [-1 / 4] * 4)
    error = largest_error(_denoiser(x, iterations=400).denoise(x, SIGMA), expected)
    agreement("prior.tv-denoiser", "two plateaus in closed form", error, 1e-6, "what 400 iterations leave")


def test_complex_images_are_turned_real_ones_and_their_phase_goes_through(photograph):
    _, noisy = photograph
    turn = cmath.exp(0.7j)
    found = _denoiser(noisy * turn).denoise(noisy * turn, SIGMA)
    torch.testing.assert_close(found, _denoiser(noisy).denoise(noisy, SIGMA) * turn, rtol=0, atol=1e-12)


def test_without_noise_nothing_changes(photograph):
    clean, _ = photograph
    torch.testing.assert_close(_denoiser(clean).denoise(clean, 0.0), clean, rtol=0, atol=1e-15)
    single = clean.float()
    torch.testing.assert_close(_denoiser(single).denoise(single, torch.zeros(1, 1)), single, rtol=0, atol=1e-6)


def test_gradients_reach_the_image_and_the_noise_level():
    x = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    sigma = torch.tensor([[0.3]], dtype=torch.float64, requires_grad=True)
    denoiser = _denoiser(x, iterations=5)
    assert torch.autograd.gradcheck(denoiser.denoise, (x, sigma))


def test_strange_dims_and_several_unknowns_are_refused():
    space = Space(("y", "x"), (3, 4))
    with pytest.raises(RequestError, match=r"tv-denoiser: there is no dim 't'"):
        preimage_prior(Settings(dims=("t",)), space)
    with pytest.raises(RequestError, match=r"say with `on` which of image, field it is for"):
        preimage_prior(Settings(), ProductSpace(image=space, field=space))
