from __future__ import annotations

import numpy as np
import torch

from preimage_optics.maps.drawn import gaussian_matrix, octanary_modulation

N = 40_000


def test_masks_have_eight_values_with_their_probabilities(agreement):
    values, counts = np.unique(octanary_modulation((4, 100, 100), seed=1).numpy().round(12), return_counts=True)
    assert len(values) == 8
    expected = np.where(abs(values) < 1, 0.8 / 4, 0.2 / 4)
    np.testing.assert_allclose(np.unique(abs(values).round(9)), [0.5**0.5, 3**0.5], rtol=0, atol=1e-9)
    deviations = np.abs(counts / N - expected) / np.sqrt(expected * (1 - expected) / N)
    agreement(
        "operator.phase-retrieval",
        "the paper's probabilities of octanary masks",
        deviations.max(),
        5,
        "standard errors of a binomial: of eight numbers one in 200 000 tries is beyond",
    )
    assert (np.abs(counts / N - 1 / 8) / np.sqrt(1 / 8 * 7 / 8 / N)).min() > 5  # the check can fail


def test_masks_have_the_moments_of_the_paper():
    """E|m|² = 0.8·½ + 0.2·3 = 1, E|m|⁴ = 0.8·¼ + 0.2·9 = 2, E m = 0; a variance of 1 and one of |m|⁴ of 12.25."""
    mask = octanary_modulation((4, 100, 100), seed=2)
    assert abs(float(mask.abs().square().mean()) - 1) < 5 / N**0.5
    assert abs(float(mask.abs().pow(4).mean()) - 2) < 5 * (0.8 / 16 + 0.2 * 81 - 4) ** 0.5 / N**0.5
    assert float(mask.mean().abs()) < 5 / N**0.5


def test_entries_of_a_matrix_are_complex_normal_over_the_root_of_the_pixels():
    matrix = gaussian_matrix(200, 200, seed=0)
    assert abs(float(matrix.abs().square().mean()) * 200 - 1) < 5 / N**0.5  # |n|² is exponential: variance 1
    assert abs(float(matrix.real.square().mean()) * 200 - 0.5) < 5 * 0.5**0.5 / N**0.5
    assert float((matrix**2).mean().abs()) * 200 < 5 * 2**0.5 / N**0.5  # real and imaginary part are independent


def test_what_is_drawn_is_a_function_of_the_seed():
    for draw in (lambda seed: octanary_modulation((2, 3, 4), seed), lambda seed: gaussian_matrix(3, 4, seed)):
        assert torch.equal(draw(1), draw(1))
        assert not torch.equal(draw(1), draw(2))
