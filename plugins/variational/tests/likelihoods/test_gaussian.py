from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import ValidationError
from scipy import stats

from preimage.errors import DataError
from preimage.testing import LikelihoodLaws
from preimage.testing.agreement import largest_error
from preimage_variational.likelihoods import gaussian
from preimage_variational.likelihoods.gaussian import Settings, preimage_likelihood


class TestLaws(LikelihoodLaws):
    method = gaussian


def _drawn(dtype):
    numbers = torch.Generator().manual_seed(0)
    return [torch.randn(20, dtype=dtype, generator=numbers) for _ in range(2)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_value_is_the_negative_log_density_of_scipy(dtype, agreement):
    """Value / std², and twice that for complex noise of E|n|² = std², of which either part has half the variance."""
    u, y = _drawn(dtype)
    parts = torch.view_as_real(u - y) if dtype.is_complex else u - y
    std = 0.3
    scale = std / 2**0.5 if dtype.is_complex else std
    expected = np.sum(stats.norm.logpdf(0, scale=scale) - stats.norm.logpdf(parts.numpy(), scale=scale))
    likelihood = preimage_likelihood(Settings(std=std), xr.Dataset())
    found = float(likelihood.value(u, y)) * (2 if dtype.is_complex else 1) / std**2
    reason = "relative: a sum of forty squares, rounded"
    agreement("likelihood.gaussian", "SciPy's logpdf", abs(found / expected - 1), 1e-14, reason)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_prox_is_numpys_solution_of_stacked_least_squares(dtype, agreement):
    """The least of ½‖v − y‖² + ‖v − u‖²/(2 step) is that of ‖[I, I/√step] v − [y, u/√step]‖²."""
    (u, y), step = _drawn(dtype), 0.7
    stacked = np.concatenate([np.eye(20), np.eye(20) / step**0.5])
    expected, *_ = np.linalg.lstsq(stacked, torch.cat([y, u / step**0.5]).numpy())
    error = largest_error(preimage_likelihood(Settings(), xr.Dataset()).prox(u, y, step), expected)
    agreement("likelihood.gaussian", "NumPy's lstsq, for the prox", error, 1e-14, "rounding, at a condition of 1")


def _dataset(**noise):
    return xr.Dataset({"measurement": ("x", np.zeros(3)), **noise})


def test_the_setting_goes_before_the_dataset_and_nothing_means_unknown():
    noisy = _dataset(noise_std=((), 0.5))
    assert preimage_likelihood(Settings(std=2.0), noisy).std == 2.0
    assert preimage_likelihood(Settings(), noisy).std == 0.5
    assert preimage_likelihood(Settings(), _dataset()).std is None


@pytest.mark.parametrize("std", [-1.0, np.nan, np.inf])
def test_a_level_that_is_none_is_refused(std):
    with pytest.raises(DataError, match=r"noise_std is .*: a standard deviation is a finite number"):
        preimage_likelihood(Settings(), _dataset(noise_std=((), std)))
    with pytest.raises(ValidationError):
        Settings(std=std)


def test_a_level_for_every_sample_is_refused():
    with pytest.raises(DataError, match=r"likelihood gaussian needs 'noise_std' with dims none: it has x"):
        preimage_likelihood(Settings(), _dataset(noise_std=("x", np.ones(3))))
