from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch

from preimage.errors import RequestError
from preimage_variational.transforms.lattice import WAVELETS, Lattice, rotate_

SHORT = ["haar", "db2", "db3", "db4", "sym4", "sym5", "coif1", "coif2"]
SHORT_TABLES = 1e-12, "its short filters are tabulated to better than that"
LONG_TABLES = 1e-10, "its long filters are orthonormal to 4e-11 only, and angles amplify rounding of the smallest taps"


def _matrices(wavelet, n):
    """The approximation and detail, as functions of n samples."""
    units = torch.eye(n, dtype=torch.float64)
    Lattice.of(wavelet).analyse_(units[:, 0::2], units[:, 1::2], -1)
    return units[:, 0::2].numpy(), units[:, 1::2].numpy()


def _distance_from_pywavelets(wavelet, n):
    ours, theirs = _matrices(wavelet, n), pywt.dwt(np.eye(n), wavelet, "periodization", axis=-1)
    return max(np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("wavelet", SHORT)
def test_bands_are_those_of_pywavelets(wavelet, agreement):
    agreement("prior.sparsity", "PyWavelets, for one level", _distance_from_pywavelets(wavelet, 32), *SHORT_TABLES)


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_every_wavelet_is_that_of_pywavelets(wavelet, agreement):
    agreement("prior.sparsity", "PyWavelets, for one level", _distance_from_pywavelets(wavelet, 64), *LONG_TABLES)


@pytest.mark.parametrize("n", [2, 4, 6])
@pytest.mark.parametrize("wavelet", SHORT)
def test_signals_shorter_than_the_filter_wrap_round(wavelet, n, agreement):
    agreement("prior.sparsity", "PyWavelets, for one level", _distance_from_pywavelets(wavelet, n), *SHORT_TABLES)


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_the_transform_is_orthonormal_to_rounding_and_synthesis_undoes_it(wavelet):
    units = torch.eye(12, dtype=torch.float64)
    lattice = Lattice.of(wavelet)
    lattice.analyse_(units[:, 0::2], units[:, 1::2], -1)
    # Each of at most 27 layers adds some rounding errors: far below 1e-14.
    assert (units @ units.mT - torch.eye(12)).abs().max() < 1e-14
    lattice.synthesise_(units[:, 0::2], units[:, 1::2], -1)
    assert (units - torch.eye(12)).abs().max() < 1e-14


@pytest.mark.parametrize("angle", [0.3, -1.2, 2.5])
def test_three_shears_are_a_rotation(angle):
    left, right = torch.tensor([1.0, 0.0], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    rotate_(left, right, angle)
    expected = torch.tensor([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], dtype=torch.float64)
    torch.testing.assert_close(torch.stack([left, right]), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("wavelet", ["bior2.2", "dmey", "db38", "daubechies"])
def test_a_wavelet_that_is_not_orthonormal_or_not_known_is_refused(wavelet):
    with pytest.raises(
        RequestError, match=rf"'{wavelet}' is no orthonormal wavelet known here: choose one of haar, db2"
    ):
        Lattice.of(wavelet)
