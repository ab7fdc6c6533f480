"""Arrays as pictures, and pictures as data: URIs."""

from __future__ import annotations

import base64
import io
import math

import matplotlib as mpl
import numpy as np
from matplotlib import image as files
from numpy.typing import NDArray

from preimage.report.planes import Array

Pixels = NDArray[np.uint8]

CYCLIC = "twilight_shifted"
"""Colour map of a phase: light at 0; its ends, −π and π, are one dark colour."""
UNKNOWN = (128, 128, 128, 255)
"""Colour where there is no phase to see."""
BROKEN = (214, 39, 140, 255)
"""Colour of what is not finite."""


def grey(image: Array, black: float, white: float) -> Pixels:
    """(row, column) to RGBA: values from black to white, clipped at both."""
    level = np.clip((np.nan_to_num(image) - black) / (white - black), 0, 1)
    pixels = np.repeat(np.rint(255 * level).astype(np.uint8)[..., None], 4, axis=-1)
    pixels[..., 3] = 255
    pixels[~np.isfinite(image)] = BROKEN
    return pixels


def phase(image: Array, faint: float) -> Pixels:
    """(row, column) to RGBA: the phase of complex values, where their magnitude is at least `faint`."""
    turns = (np.angle(np.nan_to_num(image)) + math.pi) / (2 * math.pi)
    pixels: Pixels = mpl.colormaps[CYCLIC](turns, bytes=True)
    pixels[np.abs(image) < faint] = UNKNOWN
    pixels[~np.isfinite(image)] = BROKEN
    return pixels


def ramp() -> Array:
    """(1, column), from 0 to 1: a scale to be coloured."""
    return np.linspace(0, 1, 256)[None]


def png(pixels: Pixels) -> str:
    """A picture as a data: URI."""
    buffer = io.BytesIO()
    files.imsave(buffer, pixels, format="png", pil_kwargs={"compress_level": 3})  # as small as more, at a seventh
    return data_uri(buffer.getvalue(), "image/png")


def data_uri(content: bytes, kind: str) -> str:
    """Content that is part of the page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
