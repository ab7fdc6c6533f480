"""DDRM: a sampler that steps in the operator's singular vectors, drawing from its state's own seed.

Kawar, Elad, Ermon & Song, Denoising diffusion restoration models, 2022. In singular vectors the steps of a prior
N(mean, s²I) are scalar recursions of mean and variance, written out here without an operator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from preimage.errors import CapabilityError
from preimage.likelihoods import Gaussian
from preimage.operators import HasSVD, LinearOperator
from preimage.priors import Denoiser
from preimage.problem import Problem
from preimage.randomness import Seed
from preimage.solving import Needs, Solver, State, Stop, load_state, save_state, solve
from preimage.testing.toys import Rows

from .conftest import GaussianPrior, random

SIGMAS = np.geomspace(5.0, 0.02, 21)
NOISE, SPREAD, ETA, ETA_B = 0.3, 0.7, 0.85, 0.6
N_SAMPLES = 3000


@dataclass(kw_only=True)
class DdrmState(State):
    seed: Seed


class Ddrm(Solver):
    """Samples, from noise of σ = SIGMAS[0] down to SIGMAS[-1]."""

    needs = Needs(operator=(HasSVD,), prior=(Denoiser,), priors=range(1, 2), likelihood=(Gaussian,))
    minimises = False
    stop = Stop(len(SIGMAS) - 1)

    def __init__(self, noise_factor: float = 1.0) -> None:
        self.noise_factor = noise_factor

    def start(self, problem, x0=None):
        noise, seed = Seed(problem.seed).normal(problem.domain, problem.batch, problem.device)
        return DdrmState(x=SIGMAS[0] * noise, seed=seed)

    def step(self, problem, state):
        sigma, following = SIGMAS[state.iteration : state.iteration + 2]
        svd = problem.operator.svd()
        noise, seed = state.seed.normal(problem.domain, problem.batch, problem.device)
        noise = noise * self.noise_factor
        denoised = svd.v.H(problem.priors[0].denoise(state.x, sigma))
        s = svd.s
        measured = svd.uh(problem.y) / torch.where(s > 0, s, 1)
        level = problem.likelihood.std / torch.where(s > 0, s, torch.inf)  # of the noise of `measured`
        old = torch.where(s > 0, measured, svd.v.H(state.x))
        old_level = torch.where(s > 0, problem.likelihood.std / torch.where(s > 0, s, 1), sigma)
        kept = (1 - ETA**2) ** 0.5 * following * (old - denoised) / old_level
        blurred = ETA_B * (measured - denoised)
        rest = (following**2 - ETA_B**2 * level**2).clamp_min(0).sqrt()
        exact = (s > 0) & (level <= following)
        spectrum = denoised + torch.where(exact, blurred + rest * noise, kept + ETA * following * noise)
        return DdrmState(x=svd.v(spectrum), iteration=state.iteration + 1, seed=seed)


def ddrm_problem(dtype, n_samples=N_SAMPLES):
    matrix = random(4, 8, seed=3, dtype=dtype)
    matrix[3] = matrix[0] - matrix[2]  # a rank of three
    operator = Rows(matrix[None])
    prior = GaussianPrior(random(8, seed=2, dtype=dtype), SPREAD**2 * torch.eye(8, dtype=dtype))
    y = operator(random(1, 8, seed=4, dtype=dtype)) + NOISE * random(1, 4, seed=5, dtype=dtype)
    problem = Problem(y.expand(n_samples, 1, 4), operator, Gaussian(std=NOISE), (prior,), seed=7)
    return problem, matrix.numpy(), y[0].numpy(), prior.mean.numpy()


def predicted_moments(matrix, y, mean):
    """Mean and variance of the samples in right singular vectors, by recursion."""
    u, s, vh = np.linalg.svd(matrix)
    s = np.concatenate([np.where(s > 1e-10, s, 0), np.zeros(vh.shape[0] - len(s))])
    mean, m, v = vh @ mean, np.zeros(len(s), y.dtype), np.full(len(s), SIGMAS[0] ** 2)
    data = np.zeros(len(s), y.dtype)
    data[: len(y)] = u.conj().T @ y
    for sigma, following in pairwise(SIGMAS):
        gain = SPREAD**2 / (SPREAD**2 + sigma**2)
        denoised = mean + gain * (m - mean)
        for i, one in enumerate(s):
            keep = (1 - ETA**2) ** 0.5 * following
            if one == 0:
                m[i] = denoised[i] + keep / sigma * (m[i] - denoised[i])
                v[i] = (gain + keep / sigma * (1 - gain)) ** 2 * v[i] + ETA**2 * following**2
            elif NOISE / one > following:
                m[i] = denoised[i] + keep * one / NOISE * (data[i] / one - denoised[i])
                v[i] = (gain * (1 - keep * one / NOISE)) ** 2 * v[i] + ETA**2 * following**2
            else:
                m[i] = denoised[i] + ETA_B * (data[i] / one - denoised[i])
                v[i] = ((1 - ETA_B) * gain) ** 2 * v[i] + following**2 - ETA_B**2 * NOISE**2 / one**2
    return vh, m, v


def deviations(x, moments, dtype):
    """How far the samples' mean and variance are from those predicted, in standard errors."""
    vh, mean, variance = moments
    spectrum = x[:, 0].numpy() @ vh.T
    mean_error = np.abs(spectrum.mean(0) - mean) / np.sqrt(variance / N_SAMPLES)
    relative = 1 / N_SAMPLES if dtype.is_complex else 2 / N_SAMPLES  # of the variance of a sample variance
    variance_error = np.abs(spectrum.var(0) / variance - 1) / np.sqrt(relative)
    return float(max(mean_error.max(), variance_error.max()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_samples_have_the_mean_and_variance_of_the_closed_form(dtype, agreement):
    problem, *known = ddrm_problem(dtype)
    moments = predicted_moments(*known)
    error = deviations(solve(Ddrm(), problem).x, moments, dtype)
    reason = "standard errors: of 32 numbers that are normal by chance one in a hundred thousand tries is beyond"
    agreement("DDRM, of the tests", "the mean and variance of its samples by scalar recursion", error, 5.5, reason)
    # The control: noise divided by √2, as if that of complex numbers, is far off.
    assert deviations(solve(Ddrm(noise_factor=2**-0.5), problem).x, moments, dtype) > 10


def test_a_sampler_goes_on_from_its_saved_state_bit_for_bit(tmp_path):
    problem, *_ = ddrm_problem(torch.complex128, n_samples=3)
    half = solve(Ddrm(), problem, Stop(9))
    save_state(half, tmp_path / "state.safetensors")
    resumed = load_state(Ddrm().start(problem), tmp_path / "state.safetensors")
    assert torch.equal(solve(Ddrm(), problem, state=resumed).x, solve(Ddrm(), problem).x)
    assert not torch.equal(*solve(Ddrm(), problem).x[:2])  # samples of a batch differ


def test_an_operator_without_singular_vectors_is_refused():
    class Plain(LinearOperator):
        def _apply(self, x):
            return x

    problem, *_ = ddrm_problem(torch.float64, n_samples=1)
    plain = Plain(problem.domain, problem.domain)
    with pytest.raises(CapabilityError, match=r"the operator \(Plain\) is no HasSVD"):
        solve(Ddrm(), replace(problem, y=problem.zeros(), operator=plain))
