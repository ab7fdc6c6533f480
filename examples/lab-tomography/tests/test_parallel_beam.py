"""The projector against closed forms, a dense matrix, a ray that is followed step by step, and scikit-image."""

import math

import numpy as np
import pytest
import torch
import xarray as xr
from preimage import Space
from preimage.errors import DataError
from preimage.testing import OperatorLaws
from preimage.testing.agreement import largest_error
from preimage.testing.agreement import relative_error as relative
from skimage.transform import iradon, radon

import lab_tomography.parallel_beam as parallel_beam
from lab_tomography.parallel_beam import Settings
from lab_tomography.phantom import DISCS, discs, projections, scan
from lab_tomography.projector import ParallelBeam


class TestLaws(OperatorLaws):
    method = parallel_beam


def projector(n, angles, n_pixels=None, centre=None, pixel_size=1.0):
    n_pixels = n_pixels or n
    image = Space(("y", "x"), (n, n), torch.float64)
    data = Space(("angle", "detector"), (len(angles), n_pixels), torch.float64)
    centre = (n_pixels - 1) / 2 if centre is None else centre
    return ParallelBeam(image, data, list(angles), centre, pixel_size)


def half_turn(n):
    return np.arange(n) * math.pi / n


def blobs(points_y, points_x, half_width):
    """Smooth blobs, Gaussians of the widths and places that are given in half the field of view."""
    total = 0.0
    for x, y, width, value in BLOBS:
        distance2 = (points_x - half_width * x) ** 2 + (points_y - half_width * y) ** 2
        total = total + value * np.exp(-distance2 / (2 * (half_width * width) ** 2))
    return total


BLOBS = ((0.1, -0.2, 0.15, 1.0), (-0.3, 0.25, 0.1, -0.6), (0.3, 0.3, 0.12, 0.8))


def projected_blobs(angles, n_pixels, centre, half_width):
    """A projection of a Gaussian is a Gaussian: exp(−t²/2σ²) · σ √(2π)."""
    pixels = np.arange(n_pixels) - centre
    total = np.zeros((len(angles), n_pixels))
    for x, y, width, value in BLOBS:
        sigma = half_width * width
        t = pixels - half_width * (x * np.cos(angles) + y * np.sin(angles))[:, None]
        total += value * sigma * math.sqrt(2 * math.pi) * np.exp(-(t**2) / (2 * sigma**2))
    return total


def smooth_image(n):
    points = np.arange(n) - (n - 1) / 2
    return blobs(points[:, None], points, n / 2)


def joseph(image, angle, offset):
    """One line integral, followed along the axis to which the line is closer."""
    n = len(image)
    middle = (n - 1) / 2
    cosine, sine = math.cos(angle), math.sin(angle)
    if abs(sine) > abs(cosine):
        image, cosine, sine = image.T, sine, cosine
    padded = np.pad(image, ((0, 0), (1, 1)))
    places = np.arange(-1, n + 1) - middle
    lines = np.arange(n) - middle
    total = sum(np.interp((offset - y * sine) / cosine, places, row) for y, row in zip(lines, padded, strict=True))
    return total / abs(cosine)


@pytest.mark.parametrize(("n", "n_pixels", "centre"), [(8, 8, None), (7, 10, 3.3), (9, 4, 2.0), (1, 3, 1.2)])
def test_it_follows_each_ray_by_the_method_of_joseph(n, n_pixels, centre, agreement):
    angles = np.array([0.0, 0.3, math.pi / 4, 1.2, math.pi / 2, 2.0, math.pi, 4.0])
    operator = projector(n, angles, n_pixels, centre, pixel_size=0.5)
    image = np.random.default_rng(0).standard_normal((n, n))
    expected = [[0.5 * joseph(image, a, k - operator.centre) for k in range(n_pixels)] for a in angles]
    error = largest_error(operator(torch.from_numpy(image)), expected)
    reason = "rounding of a sum of n interpolated numbers"
    agreement("operator.parallel-beam", "Joseph's method, ray by ray by NumPy's interp", error, 1e-13 * n, reason)


def test_the_adjoint_is_the_transpose_of_the_dense_matrix(agreement):
    operator = projector(6, half_turn(5), 8, 3.2)
    matrix = torch.stack([operator(e.reshape(6, 6)).flatten() for e in torch.eye(36, dtype=torch.float64)], -1)
    rows = torch.stack([operator.adjoint(e.reshape(5, 8)).flatten() for e in torch.eye(40, dtype=torch.float64)])
    error, reason = largest_error(rows, matrix), "rounding of weights of about 1"
    agreement("operator.parallel-beam", "the transpose of its dense matrix, for the adjoint", error, 1e-14, reason)
    norm = float(torch.linalg.matrix_norm(matrix, 2))
    assert norm <= operator.norm().value <= 1.01 * norm
    assert operator.norm().kind == "upper"


def test_a_smooth_image_is_projected_with_an_error_of_second_order(agreement):
    """Linear interpolation of a smooth image errs by h²/8 times its curvature: a quarter, where pixels are half."""
    angles = half_turn(23)
    errors = []
    for n in (32, 64, 128):
        operator = projector(n, angles, n, (n - 1) / 2 + 1.3)
        expected = projected_blobs(angles, n, operator.centre, n / 2)
        errors.append(relative(operator(torch.from_numpy(smooth_image(n))).numpy(), expected))
    reason = "relative: linear interpolation errs by h²/8 times the curvature"
    agreement("operator.parallel-beam", "projections of Gaussians in closed form", errors[-1], 2e-3, reason)
    for coarse, fine in zip(errors, errors[1:], strict=False):
        assert coarse / fine == pytest.approx(4, rel=0.1)


def test_discs_are_projected_as_in_closed_form():
    """Where a ray crosses an edge, the edge lies somewhere in a pixel: an error of ±½ of it, evenly, twice a disc."""
    expected_rms = math.sqrt(2 * sum(value**2 for *_, value in DISCS) / 12)
    angles = half_turn(17)
    for n in (32, 128):
        image, middle = torch.from_numpy(discs(n, n / 2)), (n - 1) / 2
        expected = projections(angles, n, middle, n / 2)
        errors = [projector(n, angles, n, centre)(image).numpy() - expected for centre in (middle, middle + 1)]
        right, wrong = (np.sqrt(np.mean(np.square(error))) for error in errors)
        assert right < expected_rms < wrong


def test_it_is_scikit_images_radon_of_a_smooth_image(agreement):
    """Both interpolate linearly, each in its own way: their errors are the h²/8 · curvature that is measured above."""
    n, angles = 65, half_turn(12)  # odd: scikit-image turns about n // 2, which is then the middle
    points = np.arange(n) - n // 2
    image = smooth_image(n) * (np.hypot(points, points[:, None]) < n // 2)  # as it wants images; blobs end before
    mine = projector(n, angles)(torch.from_numpy(image)).numpy()
    theirs = radon(image, theta=-np.degrees(angles), circle=True).T  # its y points up
    exact = projected_blobs(angles, n, (n - 1) / 2, n / 2)
    reason = "relative: both interpolate linearly, each in its own way"
    agreement("operator.parallel-beam", "projections of Gaussians in closed form", relative(mine, exact), 0.01, reason)
    agreement("operator.parallel-beam", "scikit-image's radon", relative(mine, theirs), 0.01, reason)
    assert relative(mine, theirs[:, ::-1]) > 0.1  # the check can fail


def test_its_adjoint_is_scikit_images_back_projection_of_smooth_projections(agreement):
    """A pixel's weights in its two rays add up to 1 at 0°, and to between 0.83 and 1.41 at 45°, as it lies to them.

    That is 1 ± 0.1 (rms) over all angles, of random sign: ± 0.1/√n in their mean.
    """
    n, angles = 65, half_turn(360)
    sinogram = projected_blobs(angles, n, (n - 1) / 2, n / 2)
    mine = projector(n, angles).adjoint(torch.from_numpy(sinogram)).numpy() * math.pi / (2 * len(angles))
    theirs = iradon(sinogram.T, theta=-np.degrees(angles), filter_name=None, circle=True)
    inside = np.hypot(*np.mgrid[:n, :n] - n // 2) < 0.9 * n / 2
    agreement(
        "operator.parallel-beam",
        "scikit-image's iradon without a filter, for the adjoint",
        relative(mine[inside], theirs[inside]),
        2 * 0.1 / math.sqrt(len(angles)),
        "relative: weights of 1 ± 0.1, of random sign, averaged over 360 angles: two deviations",
    )
    assert relative(mine[inside], theirs[::-1][inside]) > 0.05  # the check can fail


def test_the_unit_of_the_angles_the_centre_and_the_pixel_are_those_that_are_said():
    degrees = scan({"z": 2}, n_angles=6, n_pixels=9)
    turned = scan({"z": 2}, n_angles=6, n_pixels=9, unit="rad")
    x = torch.rand(2, 9, 9, generator=torch.Generator().manual_seed(0))
    expected = parallel_beam.preimage_operator(Settings(), degrees)(x)
    assert torch.equal(parallel_beam.preimage_operator(Settings(centre=4.0), degrees)(x), expected)
    torch.testing.assert_close(parallel_beam.preimage_operator(Settings(), turned)(x), expected)
    longer = parallel_beam.preimage_operator(Settings(pixel_size=0.1), degrees)(x)
    torch.testing.assert_close(longer, 0.1 * expected)
    moved = parallel_beam.preimage_operator(Settings(), degrees.assign(centre=((), 5.0)))(x)
    torch.testing.assert_close(moved[..., 1:], expected[..., :-1])  # a pixel further along the detector


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.assign(measurement=d["measurement"].astype(int)), "real floating-point numbers: it is int64"),
        (lambda d: d.rename(z="y"), "not y or x: it has y, angle, detector"),
        (lambda d: d.rename(detector="column"), "it has z, angle, column"),
        (lambda d: d.assign_coords(angle=("angle", [0.0, 1, 2])), "set its attribute units, None, to deg or rad"),
        (lambda d: d.assign_coords(angle=("angle", [0, 1, np.nan], {"units": "rad"})), "1 angles are not finite"),
        (lambda d: d.drop_vars("measurement"), "needs a variable 'truth'|there|truth"),
        (lambda d: xr.Dataset({"truth": (("y", "x"), np.zeros((3, 4)))}, d.coords), "needs a square 'truth'"),
    ],
)
def test_what_is_wrong_with_a_scan_is_said(change, message):
    with pytest.raises(DataError, match=message):
        parallel_beam.preimage_operator(Settings(), change(scan({"z": 2}, n_angles=3, n_pixels=5)))
