"""Names of dims: an image has x, y, z; along kx, ky, kz the data are in k-space; coils are along `coil`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

COIL = "coil"
IMAGE_DIM = {"kx": "x", "ky": "y", "kz": "z"}
"""The image dim of every k-space dim."""
KSPACE_DIM = {image: kspace for kspace, image in IMAGE_DIM.items()}
"""The k-space dim of every image dim."""


def names(dims: Iterable[Any]) -> tuple[str, ...]:
    """The dims of a variable; xarray calls them hashable, here they are names."""
    return tuple(str(dim) for dim in dims)


def in_image_space(dims: Iterable[Any]) -> tuple[str, ...]:
    """The same dims after the inverse transform of all k-space dims."""
    return tuple(IMAGE_DIM.get(str(dim), str(dim)) for dim in dims)


def in_kspace(dims: Iterable[Any]) -> tuple[str, ...]:
    """The same dims after the transform of all image dims."""
    return tuple(KSPACE_DIM.get(str(dim), str(dim)) for dim in dims)


def kspace_dims(dims: Iterable[Any]) -> tuple[str, ...]:
    """Those along which the data are in k-space."""
    return tuple(str(dim) for dim in dims if dim in IMAGE_DIM)


def image_dims(dims: Iterable[Any]) -> tuple[str, ...]:
    """Those along which the data are in image space, without coils, echoes or times."""
    return tuple(str(dim) for dim in dims if dim in KSPACE_DIM)


def without_coil(dims: Iterable[Any]) -> tuple[str, ...]:
    """All dims but that of the coils."""
    return tuple(str(dim) for dim in dims if dim != COIL)


def comma(dims: Iterable[Any]) -> str:
    """Dims as a message names them."""
    return ", ".join(map(str, dims)) or "none"
