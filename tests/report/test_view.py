"""What is seen of an unknown: one scale, errors with a gain, and an estimate that is turned onto the truth."""

import numpy as np
import pytest
import xarray as xr

from preimage.report.pictures import BROKEN, grey
from preimage.report.planes import central_planes
from preimage.report.view import view

RNG = np.random.default_rng(0)
COMPLEX = RNG.standard_normal((4, 6, 5)) + 1j * RNG.standard_normal((4, 6, 5))


def seen(estimate, truth=None, ambiguity=()):
    images = [None if values is None else xr.DataArray(values, dims=("z", "y", "x")) for values in (estimate, truth)]
    return view(central_planes(images[0].sizes), *images, frozenset(ambiguity))


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
    assert found.factor == pytest.approx(1 / turn, rel=1e-12)
    errors = np.concatenate([e.ravel() for e in found.errors])
    np.testing.assert_allclose(errors, 0, atol=1e-13)
    assert np.concatenate([e.ravel() for e in seen(turn * COMPLEX, COMPLEX).errors]).max() > 0.1


def test_what_is_not_finite_is_counted_and_no_scale_depends_on_it():
    estimate = COMPLEX.copy()
    estimate[2, 0, 0], estimate[2, 1, 0] = np.nan, np.inf
    found = seen(estimate, COMPLEX, {"phase"})
    assert found.n_broken == 2
    assert np.isfinite(found.scale).all()
    assert np.isfinite(found.factor)
    assert found.gain >= 1
    assert (grey(np.abs(estimate[2]), *found.scale)[0, 0] == BROKEN).all()
