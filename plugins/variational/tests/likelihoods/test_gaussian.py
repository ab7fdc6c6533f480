from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from preimage.errors import DataError
from preimage.testing import LikelihoodLaws
from preimage_variational.likelihoods import gaussian
from preimage_variational.likelihoods.gaussian import Settings, preimage_likelihood


class TestLaws(LikelihoodLaws):
    method = gaussian


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
