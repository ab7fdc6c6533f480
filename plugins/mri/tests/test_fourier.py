"""The centred transform against its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from preimage.testing.agreement import largest_error
from preimage_mri.fourier import (
    along,
    centred_fft,
    centred_ifft,
    centred_range,
    centred_slice,
    waves,
)


def dft(n: int) -> torch.Tensor:
    """Rows exp(−2πi k r / n) / √n for k, r = −⌊n/2⌋ … : the definition."""
    r = np.arange(n) - n // 2
    return torch.from_numpy(np.exp(-2j * np.pi * np.outer(r, r) / n) / np.sqrt(n))


@pytest.mark.parametrize(("n", "m"), [(1, 4), (5, 6), (8, 3)])
def test_transform_is_the_dense_matrix(n, m, agreement):
    x = torch.randn(2, n, m, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    expected = torch.einsum("kr,lq,brq->bkl", dft(n), dft(m), x)
    error = largest_error(centred_fft(x, (-2, -1)), expected)
    reason = "an FFT in double precision errs by some log(n)·ε"
    agreement("operator.cartesian-mri", "the centred DFT by its definition", error, 1e-14, reason)
    torch.testing.assert_close(centred_ifft(centred_fft(x, (-2, -1)), (-2, -1)), x, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("n", "length"), [(3, 7), (4, 7), (3, 8), (4, 8), (8, 8), (1, 6)])
def test_waves_of_few_frequencies_are_the_padded_transform(n, length):
    low = torch.randn(n, 2, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    padded = torch.zeros(length, 2, dtype=torch.complex128)
    padded[centred_slice(n, length)] = low
    matrix = waves(centred_range(n), centred_range(length) / length, torch.complex128) / length**0.5
    torch.testing.assert_close(along(matrix, low, 0), centred_ifft(padded, (0,)), rtol=0, atol=1e-14)
