"""The image itself, noisy: denoising."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

import preimage
from preimage import Memory, hookimpl, split
from preimage.declarations import Axis
from preimage.operators import Identity
from preimage.space import Space
from preimage_imaging.headers import image_space

WHO = "operator identity"


class Settings(preimage.Settings):
    """There is nothing to set."""


@hookimpl
def preimage_operator(settings: Settings, dataset: xr.Dataset) -> Identity:
    """The identity between images."""
    return Identity(image_space(dataset, WHO))


@hookimpl
def preimage_spaces(settings: Settings, dataset: xr.Dataset) -> tuple[Space, Space]:
    """The image's space, twice."""
    space = image_space(dataset, WHO)
    return space, space


@hookimpl
def preimage_axes(settings: Settings, dataset: xr.Dataset) -> Mapping[str, Axis]:
    """Every pixel is by itself."""
    return dict.fromkeys(image_space(dataset, WHO).dims, split)


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The measurement."""
    return Memory(per_input=1.0)


@hookimpl
def preimage_examples(folder: Path) -> Iterator[tuple[Settings, xr.Dataset]]:
    """A complex volume with a dim of length one, and a real truth without a measurement."""
    random = np.random.default_rng(0)
    volume = random.standard_normal((3, 1, 5, 2), np.float32).view(np.complex64)[..., 0]
    yield Settings(), xr.Dataset({"measurement": (("z", "y", "x"), volume)})
    yield Settings(), xr.Dataset({"truth": (("y", "x"), random.random((7, 4), np.float32))})
