"""The pictures on the page: which there are, how large, and of which planes."""

import numpy as np
import pytest
import xarray as xr
from support.documents import Document

from preimage.report.figures import unknown
from preimage.report.pictures import UNKNOWN
from preimage.report.view import Freedom

RNG = np.random.default_rng(0)
COMPLEX = RNG.standard_normal((4, 6, 5)) + 1j * RNG.standard_normal((4, 6, 5))


def page_of(estimate, truth=None, attributes=None, dims=("z", "y", "x")):
    images = [None if values is None else xr.DataArray(values, dims=dims) for values in (estimate, truth)]
    markup = unknown("estimate", *images, attributes or {}, Freedom(), "h3")
    return Document(f"<!DOCTYPE html>\n<body>{markup}</body>")


def test_a_marked_plane_is_where_it_is_said_to_be():
    estimate = np.full((4, 6, 5), 0.25, np.complex64)
    estimate[2] = 1
    pictures = dict(page_of(estimate).pictures())
    across = np.asarray(pictures["estimate, magnitude: estimate, y–x at z = 2 of 4"])
    assert across.shape == (6, 5, 4)
    assert (across[..., 0] == 255).all()
    along = np.asarray(pictures["estimate, magnitude: estimate, z–x at y = 3 of 6"])[..., 0]
    assert along.shape == (4, 5)
    assert (along[2] == 255).all()
    assert (along[[0, 1, 3]] == 64).all()


def test_pictures_are_those_that_there_is_something_of():
    def captions(*images):
        """Of the scales, then of the pictures."""
        return page_of(*images, dims=("y", "x")).text_of("figcaption")

    image = COMPLEX[0]
    two = ["estimate, magnitude", "estimate, phase"]
    assert captions(abs(image)) == ["value", "estimate"]
    assert captions(image) == ["magnitude", "phase in rad", *two]
    one_in_a_hundred = captions(image, 1.01 * image)
    assert one_in_a_hundred[3:] == ["truth, magnitude", two[0], "error × 100", "truth, phase", two[1]]
    assert captions(image, abs(image))[3:] == ["truth, magnitude", two[0], "error", two[1]]


def test_a_phase_is_drawn_from_five_percent_of_white():
    pictures = dict(page_of(np.array([[1j, 0.06j], [0.04j, 0]]), dims=("y", "x")).pictures())
    pixels = np.asarray(pictures["estimate, phase: estimate, y–x"])
    seen = (pixels != UNKNOWN).any(-1)
    assert seen.tolist() == [[True, True], [False, False]]
    assert np.array_equal(pixels[0, 0], pixels[0, 1])


def test_what_the_estimate_is_aligned_over_is_said():
    image = xr.DataArray(COMPLEX[0], dims=("y", "x"))
    told = unknown("estimate", 1j * image, image, {}, Freedom(frozenset({"scale", "shift"})), "h3")
    assert "aligned with the truth over a shift and a factor, which the data do not tell." in told
    assert "aligned" not in unknown("estimate", 1j * image, image, {}, Freedom(), "h3")


def test_values_below_black_are_told_where_they_could_be_seen():
    image = abs(COMPLEX[0]) / abs(COMPLEX[0]).max()
    for lowest, told in ((-1e-9, False), (-0.1, True)):
        image[0, 0] = lowest
        assert any("So are lower values" in text for text in page_of(image, dims=("y", "x")).text_of("p")) == told


def test_pictures_of_a_volume_are_on_one_scale_of_millimetres():
    page = page_of(COMPLEX, attributes={"voxel_size": {"z": 4.0, "y": 2.0, "x": 1.0}})
    widths = {}
    for image in page.of("img"):
        if image["alt"].startswith("estimate, magnitude"):
            parts = dict(part.split(": ") for part in image["style"].split("; "))
            wide, high = map(float, parts["aspect-ratio"].split(" / "))
            widths[image["alt"].split(", ")[-1].split(" at ")[0]] = float(parts["width"].rstrip("%")), wide / high
    assert widths["y–x"][1] == pytest.approx(5 * 1 / (6 * 2), rel=1e-4)  # five digits are written
    assert widths["z–x"][1] == pytest.approx(5 * 1 / (4 * 4), rel=1e-4)
    assert widths["z–y"][1] == pytest.approx(6 * 2 / (4 * 4), rel=1e-4)
    assert widths["z–y"][0] / widths["y–x"][0] == pytest.approx(6 * 2 / 5, rel=1e-3)


def test_an_unknown_with_one_axis_is_a_curve_and_one_without_a_number():
    page = page_of(COMPLEX[0, 0], COMPLEX[0, 1], dims=("$x_{$",))  # no formula of matplotlib's
    (image,) = page.of("img")
    assert image["src"].startswith("data:image/svg+xml;base64,")
    assert page_of(np.array([2.5]), np.array([2.0]), dims=("n",)).text_of("p") == ["truth 2+0j, estimate 2.5+0j"]
