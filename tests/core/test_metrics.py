"""Metrics against scikit-image and their definitions, whole and merged over blocks."""

import math

import numpy as np
import pytest
from skimage.metrics import normalized_root_mse, peak_signal_noise_ratio, structural_similarity

from preimage.metrics import METRICS, NRMSE, PSNR, SSIM, alignment, comparable, merge

RNG = np.random.default_rng(0)
TRUTH = RNG.random((3, 30, 21))
ESTIMATE = TRUTH + 0.1 * RNG.standard_normal(TRUTH.shape)
SCALARS = {"truth_max": float(TRUTH.max())}


def whole(metric, truth=TRUTH, estimate=ESTIMATE):
    return metric.finish(metric.partial(truth, estimate, SCALARS), SCALARS)


def test_psnr_and_nrmse_and_ssim_are_scikit_images():
    peak = SCALARS["truth_max"]
    assert whole(PSNR()) == pytest.approx(peak_signal_noise_ratio(TRUTH, ESTIMATE, data_range=peak), rel=1e-12)
    assert whole(NRMSE()) == pytest.approx(normalized_root_mse(TRUTH, ESTIMATE), rel=1e-12)
    planes = [structural_similarity(t, e, data_range=peak) for t, e in zip(TRUTH, ESTIMATE, strict=True)]
    assert whole(SSIM()) == pytest.approx(np.mean(planes), rel=1e-10)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("length", [1, 4, 13])
def test_blocks_merge_to_the_whole(metric, axis, length):
    total, n = {}, TRUTH.shape[axis]
    margin = metric.halo if axis > 0 else 0
    for start in range(0, n, length):
        here = slice(max(0, start - margin), min(n, start + length + margin))
        part = (slice(None),) * axis + (here,)
        total = merge(total, metric.partial(TRUTH[part], ESTIMATE[part], SCALARS))
    assert metric.finish(total, SCALARS) == pytest.approx(whole(metric), rel=1e-10)


def test_ssim_without_its_halo_would_not_merge():
    parts = [SSIM().partial(TRUTH[:, a : a + 10], ESTIMATE[:, a : a + 10], SCALARS) for a in (0, 10, 20)]
    total = merge(merge(parts[0], parts[1]), parts[2])
    assert SSIM().finish(total, SCALARS) != pytest.approx(whole(SSIM()), rel=1e-6)


def test_a_perfect_estimate():
    assert whole(PSNR(), TRUTH, TRUTH) == math.inf
    assert whole(SSIM(), TRUTH, TRUTH) == pytest.approx(1)
    assert whole(NRMSE(), TRUTH, TRUTH) == 0
    assert math.isnan(whole(SSIM(), TRUTH[..., :5], TRUTH[..., :5]))  # no window fits


def test_a_real_truth_is_compared_with_magnitudes_in_double_precision():
    truth, estimate = comparable(TRUTH.astype(np.float32), (TRUTH * 1j).astype(np.complex64))
    assert truth.dtype == estimate.dtype == np.float64
    np.testing.assert_allclose(estimate, truth, rtol=1e-6)
    truth, estimate = comparable(TRUTH * 1j, TRUTH)
    assert np.abs(truth - estimate).max() > 0.5  # a complex truth is not


def test_alignment_turns_only_what_the_operator_cannot_tell_apart():
    truth = TRUTH * np.exp(0.3j)
    estimate = 2 * truth * np.exp(1.1j)
    inner, norm2 = complex(np.vdot(estimate, truth)), float((np.abs(estimate) ** 2).sum())
    assert alignment(frozenset(), inner, norm2) == 1
    np.testing.assert_allclose(alignment(frozenset({"phase"}), inner, norm2) * estimate, 2 * truth)
    np.testing.assert_allclose(alignment(frozenset({"scale"}), inner, norm2) * estimate, truth)
    assert alignment(frozenset({"sign"}), -1.0 + 0j, norm2) == -1
