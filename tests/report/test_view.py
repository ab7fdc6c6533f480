"""What is seen of an unknown: one scale, errors with a gain, and an estimate that is turned onto the truth."""

import numpy as np
import pytest
import xarray as xr

from preimage.metrics import aligned
from preimage.report.pictures import BROKEN, grey
from preimage.report.planes import MAX_VOXELS, central_planes
from preimage.report.view import Freedom, view

RNG = np.random.default_rng(0)
COMPLEX = RNG.standard_normal((4, 6, 5)) + 1j * RNG.standard_normal((4, 6, 5))


def seen(estimate, truth=None, ambiguity=(), independent=(), regions=({},), dims=("z", "y", "x")):
    images = [None if values is None else xr.DataArray(values, dims=dims) for values in (estimate, truth)]
    return view(central_planes(images[0].sizes), *images, Freedom(frozenset(ambiguity), independent, regions))


def all_errors(found):
    return np.concatenate([error.ravel() for error in found.errors])


def drawn(estimate):
    """Magnitudes on the three planes."""
    return np.abs(np.concatenate([estimate[2].ravel(), estimate[:, 3].ravel(), estimate[:, :, 2].ravel()]))


def test_white_is_the_highest_on_the_drawn_planes_and_no_other():
    estimate = COMPLEX.copy()
    estimate[0, 0, 0] = 99  # on none of the planes
    assert seen(estimate).scale == (0.0, drawn(estimate).max())
    assert seen(estimate, 3 * COMPLEX).scale == (0.0, 3 * drawn(COMPLEX).max())  # one scale for both


@pytest.mark.parametrize(("lowest", "black"), [(-0.1, 0.0), (-0.5, -0.5)])
def test_real_images_keep_their_sign_and_a_little_below_zero_is_black(lowest, black):
    image = np.linspace(0, 1, 120).reshape(4, 6, 5)
    image[2, 3, 2], image[2, 3, 3] = lowest, 1
    found = seen(image)
    assert found.signed
    assert not found.has_phase
    assert found.range == (lowest, 1)
    assert found.scale == (black, 1)


def test_the_error_is_drawn_with_the_largest_gain_that_does_not_clip_it():
    truth = np.ones((4, 6, 5))
    found = seen(truth + 0.03, truth)
    np.testing.assert_allclose(np.concatenate([e.ravel() for e in found.errors]), 0.03, rtol=1e-12)
    assert found.gain == 20  # 20 × 0.03 is below white, 1.03, and 50 × 0.03 above it
    assert seen(truth, truth).gain == 1
    assert seen(truth + 1e-9, truth).gain == 1000


def test_magnitudes_are_compared_where_the_truth_alone_is_real():
    found = seen(np.abs(COMPLEX) * np.exp(0.7j), np.abs(COMPLEX))
    np.testing.assert_allclose(np.concatenate([e.ravel() for e in found.errors]), 0, atol=1e-15)


@pytest.mark.parametrize(
    ("ambiguity", "turn"), [("phase", np.exp(2j)), ("sign", -1.0), ("scale", 0.3 * np.exp(1j)), ("scale", 5.0)]
)
def test_what_the_operator_cannot_tell_apart_is_turned_onto_the_truth(ambiguity, turn):
    found = seen(turn * COMPLEX, COMPLEX, {ambiguity})
    assert found.moved_over == {ambiguity}
    np.testing.assert_allclose(all_errors(found), 0, atol=1e-13)
    assert all_errors(seen(turn * COMPLEX, COMPLEX)).max() > 0.1
    assert not seen(turn * COMPLEX, None, {ambiguity}).moved_over


def test_an_estimate_is_shifted_and_flipped_onto_the_truth_along_all_axes():
    elsewhere = 3 * np.roll(np.flip(COMPLEX).conj(), (1, 2, -1), (0, 1, 2))
    every = {"shift", "flip", "scale"}
    np.testing.assert_allclose(all_errors(seen(elsewhere, COMPLEX, every)), 0, atol=1e-13)
    assert all_errors(seen(elsewhere, COMPLEX, every - {"shift"})).max() > 0.1
    real = seen(np.roll(COMPLEX.real, 2, 1), COMPLEX.real, {"shift"})
    assert real.signed
    np.testing.assert_allclose(all_errors(real), 0, atol=1e-13)


@pytest.mark.parametrize("length", [4, 1, 3])
def test_problems_that_are_independent_are_aligned_each_by_itself_in_the_blocks_of_the_run(length):
    turns = np.exp(1j * np.arange(4)).reshape(4, 1, 1)
    apart = turns * np.stack([np.roll(one, (i, -i), (0, 1)) for i, one in enumerate(COMPLEX)])
    regions = [{"z": (start, min(start + length, 4))} for start in range(0, 4, length)]
    every = {"shift", "phase"}
    np.testing.assert_allclose(all_errors(seen(apart, COMPLEX, every, ("z",), regions)), 0, atol=1e-13)
    assert all_errors(seen(apart, COMPLEX, every)).max() > 0.1


def test_the_whole_image_is_aligned_and_not_what_is_drawn_of_it():
    truth = RNG.standard_normal((5, MAX_VOXELS + 3))
    estimate = np.roll(truth, 1, 1) + 0.1
    found = seen(estimate, truth, {"shift"}, dims=("y", "x"))
    expected = aligned(truth, estimate, frozenset({"shift"}), (0, 1))[:, ::2]
    np.testing.assert_array_equal(found.estimates[0], expected)
    np.testing.assert_allclose(all_errors(found), 0.1, atol=1e-13)


def test_a_truth_with_other_dims_first_is_the_same():
    found = view(
        central_planes({"y": 6, "x": 5}),
        xr.DataArray(1j * COMPLEX[0], dims=("y", "x")),
        xr.DataArray(COMPLEX[0].T, dims=("x", "y")),
        Freedom(frozenset({"phase"})),
    )
    np.testing.assert_allclose(all_errors(found), 0, atol=1e-13)


def test_what_is_not_finite_is_counted_and_no_scale_depends_on_it():
    estimate = COMPLEX.copy()
    estimate[2, 0, 0], estimate[2, 1, 0] = np.nan, np.inf
    found = seen(estimate, COMPLEX, {"phase"})
    assert found.n_broken == 2
    assert not found.moved_over
    assert np.isfinite(found.scale).all()
    assert found.gain >= 1
    assert (grey(np.abs(estimate[2]), *found.scale)[0, 0] == BROKEN).all()
