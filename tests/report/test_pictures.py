"""Pixels are on the scales that are stated, and a PNG holds them as they are."""

import base64
import io
import math

import numpy as np
from PIL import Image

from preimage.report.pictures import UNKNOWN, grey, phase, png, ramp


def decoded(pixels):
    uri = png(pixels)
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_grey_is_linear_from_black_to_white_and_clipped():
    pixels = decoded(grey(np.array([[-9.0, -1.0, 0.0, 1.0, 3.0, 9.0]]), -1.0, 3.0))
    assert pixels.shape == (1, 6, 4)
    assert pixels[0, :, 0].tolist() == [0, 0, 64, 128, 255, 255]
    assert (pixels[..., :3] == pixels[..., :1]).all()
    assert (pixels[..., 3] == 255).all()


def test_a_phase_has_the_colour_of_its_scale_whatever_the_magnitude():
    angles = math.pi * (2 * ramp() - 1)
    bar = phase(np.exp(1j * angles), 0)
    assert np.array_equal(decoded(bar), bar)
    at = [3, 64, 128, 200, 250]
    assert np.array_equal(phase(7.5 * np.exp(1j * angles[:, at]), 1.0), bar[:, at])
    assert len(np.unique(bar.reshape(-1, 4), axis=0)) > 200


def test_the_colours_of_a_phase_close_and_zero_is_the_lightest():
    bar = phase(np.exp(1j * math.pi * (2 * ramp() - 1)), 0)[0, :, :3].astype(int)
    steps = np.abs(np.diff(bar, axis=0)).max()
    assert np.abs(bar[0] - bar[-1]).max() <= 2 * steps  # the seam is no edge
    assert abs(int(bar.sum(-1).argmax()) - 127.5) <= 5


def test_a_faint_phase_is_not_drawn():
    pixels = phase(np.array([[0.0, 0.9j, 1.1j]]), 1.0)
    assert (pixels[0, :2] == UNKNOWN).all()
    assert (pixels[0, 2] != UNKNOWN).any()
