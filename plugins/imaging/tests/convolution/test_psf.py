from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch

from preimage.space import Space
from preimage.testing.agreement import largest_error
from preimage_imaging.convolution.psf import MotionPsf

IMAGE = Space(("y", "x"), (64, 64), torch.float64)


def motion(length: float, angle: float) -> np.ndarray:
    return MotionPsf(("y", "x"), length, angle).values(IMAGE)


@pytest.mark.parametrize(("length", "angle"), [(9, 30), (1, 0), (0.3, 77), (12.5, -140), (7, 45), (20, 90)])
def test_it_is_the_mean_of_shifted_images(length, angle, agreement):
    """Shifts with linear interpolation are SciPy's; the mean is by Simpson's rule between the same points."""
    psf = motion(length, angle)
    reach = np.array(psf.shape) // 2
    point = np.zeros(np.array(psf.shape) + 2)
    point[tuple(reach + 1)] = 1
    direction = np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))
    n = 2000
    along = np.linspace(-length / 2, length / 2, 2 * n + 1)
    weights = np.tile([2.0, 4.0], n + 1)[: 2 * n + 1]
    weights[[0, -1]] = 1
    shifted = [scipy.ndimage.shift(point, t * np.array(direction), order=1, mode="constant") for t in along]
    expected = np.tensordot(weights / weights.sum(), shifted, 1)
    # A pixel's weight has up to six kinks along the line, at rows and columns of pixels. At each the rule errs by no
    # more than the change of slope, 2 at most, times the square of its step h.
    h = length / (2 * n)
    agreement(
        "operator.blur",
        "SciPy's shift, of a motion, averaged by Simpson's rule",
        largest_error(psf, expected[1:-1, 1:-1]),
        6 * 2 * h**2 / length,
        "the rule's error at the kinks of linear interpolation, six a line",
    )
    assert np.abs(expected[[0, -1]]).max() < 1e-15
    assert np.abs(expected[:, [0, -1]]).max() < 1e-15


@pytest.mark.parametrize("length", [0.4, 1.0, 3.0, 8.0, 9.7, 31.3])
@pytest.mark.parametrize("angle", [0.0, 12.0, 30.0, 45.0, 90.0, 133.0, 180.0, -60.0])
def test_it_keeps_the_brightness_and_the_place(length, angle):
    psf = motion(length, angle)
    y, x = (np.arange(n) - n // 2 for n in psf.shape)
    assert (psf >= 0).all()
    assert psf.sum() == pytest.approx(1, abs=1e-14)
    assert abs(y @ psf.sum(1)) < 1e-12
    assert abs(psf.sum(0) @ x) < 1e-12
    np.testing.assert_allclose(psf, psf[::-1, ::-1], atol=1e-14)
    np.testing.assert_allclose(psf, motion(length, angle + 180), atol=1e-12)  # directions are rounded to 1e-12
    np.testing.assert_allclose(psf, motion(length, -angle)[:, ::-1], atol=1e-12)
    np.testing.assert_allclose(psf, motion(length, 90 - angle).T, atol=1e-12)


@pytest.mark.parametrize(("length", "angle"), [(8, 0), (9, 30), (14.5, 62)])
def test_it_spreads_along_the_line_as_a_line_does(length, angle):
    """The variance of a line is length²/12 along it, to which a pixel's interpolation adds between 0 and ¼."""
    psf = motion(length, angle)
    y, x = np.meshgrid(*(np.arange(n) - n // 2 for n in psf.shape), indexing="ij")
    turn = np.deg2rad(angle)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    assert 0 <= (psf * along**2).sum() - length**2 / 12 <= 0.25
    assert 0 <= (psf * across**2).sum() <= 0.25


def test_along_a_dim_it_is_a_line_of_pixels_with_soft_ends():
    """Three pixels long it ends half a pixel beyond the outer centres: ⅛ is the area of a triangle's half there."""
    np.testing.assert_allclose(motion(3, 0), [np.array([1 / 8, 7 / 8, 1, 7 / 8, 1 / 8]) / 3], atol=1e-14)
    np.testing.assert_allclose(motion(4, 90)[:, 0], np.array([1 / 2, 1, 1, 1, 1 / 2]) / 4, atol=1e-14)


def test_a_movement_of_less_than_a_pixel_is_hardly_one():
    psf = motion(1e-3, 20)
    assert psf.shape == (3, 3)
    assert psf[1, 1] > 0.999


def test_the_plane_lies_where_its_dims_do():
    space = Space(("y", "channel", "x"), (16, 3, 16), torch.float32)
    psf = MotionPsf(("y", "x"), 5, 20).values(space)
    assert psf.dtype == np.float32
    np.testing.assert_allclose(psf[:, 0], motion(5, 20), rtol=1e-6)
