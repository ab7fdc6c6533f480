"""Metrics against scikit-image and their definitions, whole and merged over blocks."""

import math

import numpy as np
import pytest
from skimage.metrics import normalized_root_mse, peak_signal_noise_ratio, structural_similarity

from preimage.metrics import METRICS, NRMSE, PSNR, SSIM, aligned, alignment, comparable, merge

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


COMPLEX = TRUTH + 1j * RNG.random(TRUTH.shape)
WHOLE = (0, 1, 2)


@pytest.mark.parametrize(
    ("ambiguity", "changed"),
    [
        ({"shift"}, lambda x: np.roll(x, (1, 7, 20), WHOLE)),
        ({"flip"}, lambda x: np.flip(x).conj()),
        ({"shift", "flip"}, lambda x: np.roll(np.flip(x).conj(), (0, 3, 5), WHOLE)),
        ({"shift", "sign"}, lambda x: -np.roll(x, (0, 3, 5), WHOLE)),
        ({"shift", "flip", "phase"}, lambda x: np.exp(2j) * np.roll(np.flip(x).conj(), (1, 29, 5), WHOLE)),
        ({"shift", "scale"}, lambda x: -0.2 * np.roll(x, (0, 3, 5), WHOLE)),
    ],
)
@pytest.mark.parametrize("truth", [TRUTH - 0.5, COMPLEX], ids=["real", "complex"])
def test_an_estimate_is_found_again_over_all_that_cannot_be_told_apart(ambiguity, changed, truth):
    if "phase" in ambiguity and not np.iscomplexobj(truth):
        pytest.skip("real images have a sign")
    estimate = changed(truth)
    np.testing.assert_allclose(aligned(truth, estimate, frozenset(ambiguity), WHOLE), truth, atol=1e-12)
    for name in ambiguity:  # with one of them missing it is not
        less = aligned(truth, estimate, frozenset(ambiguity - {name}), WHOLE)
        assert np.linalg.norm(less - truth) > 0.5 * np.linalg.norm(truth)


def test_independent_problems_are_aligned_one_by_one():
    turns, shifts = np.exp(1j * np.array([0.3, 2.0, -1.0])), [3, 0, 17]
    estimate = np.stack([t * np.roll(x, (s, 2 * s), (0, 1)) for t, x, s in zip(turns, COMPLEX, shifts, strict=True)])
    ambiguity = frozenset({"phase", "shift"})
    np.testing.assert_allclose(aligned(COMPLEX, estimate, ambiguity, (1, 2)), COMPLEX, atol=1e-12)
    last = np.moveaxis(estimate, 0, 2)
    np.testing.assert_allclose(
        aligned(np.moveaxis(COMPLEX, 0, 2), last, ambiguity, (0, 1)), np.moveaxis(COMPLEX, 0, 2), atol=1e-12
    )
    assert np.abs(aligned(COMPLEX, estimate, ambiguity, WHOLE) - COMPLEX).max() > 0.5


def test_every_pixel_may_be_a_problem_of_its_own():
    np.testing.assert_allclose(aligned(COMPLEX, abs(COMPLEX), frozenset({"phase"}), ()), COMPLEX, atol=1e-12)


def test_noise_does_not_move_an_estimate():
    noisy = np.roll(ESTIMATE, (0, 5, 6), WHOLE)
    np.testing.assert_array_equal(aligned(TRUTH, noisy, frozenset({"shift"}), WHOLE), ESTIMATE)
    assert aligned(TRUTH, noisy, frozenset(), WHOLE) is noisy


def test_an_estimate_of_zeros_stays():
    zeros = np.zeros(TRUTH.shape)
    for ambiguity in ({"scale"}, {"phase"}, {"shift", "flip", "sign"}):
        assert not aligned(TRUTH, zeros, frozenset(ambiguity), WHOLE).any()
