"""Blind blur: convolution with a kernel that is unknown too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import xarray as xr
from pydantic import Field, PositiveInt

import preimage
from preimage import Memory, hookimpl, split, whole
from preimage.declarations import Axis
from preimage.errors import DataError
from preimage.space import ProductSpace, Space
from preimage_imaging.convolution.blind import PeriodicBlindConvolution, ValidBlindConvolution
from preimage_imaging.convolution.measured import Boundary, blurred_image
from preimage_imaging.headers import image_space, require_dims

WHO = "operator blind-blur"


class Settings(preimage.Settings):
    """The unknowns are `image`, and `kernel`, whose dim is called `psf_x` where the blurred dim is `x`."""

    size: PositiveInt | tuple[PositiveInt, ...] = 15
    """Length of the kernel in pixels, one or one for each blurred dim. Its centre is element size // 2."""
    dims: tuple[str, ...] | None = None
    """The blurred dims; default: the image's last two."""
    own_kernels: tuple[str, ...] = ()
    """Dims along which every image has a kernel of its own; along all others, such as channels, they share one."""
    boundary: Boundary = "periodic"
    """periodic: the image repeats itself, and with the image or the kernel known the other has a closed form. valid:
    only where the whole kernel lies inside the image is measured; the data are shorter than the image, and their dims
    are called `x_valid`."""
    start_sigma: Annotated[float, Field(ge=0, le=1e4)] = 1.0
    """Standard deviation in pixels of the Gaussian kernel from which a solver starts, with the data as image; 0 starts
    from no blur at all, which explains any data."""


@hookimpl
def preimage_operator(settings: Settings, dataset: xr.Dataset) -> PeriodicBlindConvolution | ValidBlindConvolution:
    """The convolution of both unknowns of a block."""
    image, lengths, own = _blurred(settings, dataset)
    kind = PeriodicBlindConvolution if settings.boundary == "periodic" else ValidBlindConvolution
    return kind(image, lengths, own, settings.start_sigma)


@hookimpl
def preimage_spaces(settings: Settings, dataset: xr.Dataset) -> tuple[ProductSpace, Space]:
    """The unknowns, and the data."""
    operator = preimage_operator(settings, dataset)
    return operator.domain, operator.codomain


@hookimpl
def preimage_unknowns() -> tuple[str, ...]:
    """The image, and what blurred it."""
    return ("image", "kernel")


@hookimpl
def preimage_axes(settings: Settings, dataset: xr.Dataset) -> Mapping[str, Axis]:
    """Images that have a kernel of their own are by themselves; a kernel that is shared binds all others together."""
    image, _, own = _blurred(settings, dataset)
    return {dim: split if dim in own else whole for dim in image.dims}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The measurement; of the image's size the spectra of both unknowns, their product, its inverse and a result."""
    image, _, _ = _blurred(settings, dataset)
    multiple = 1 + 5 * image.nbytes / max(image_space(dataset, WHO).nbytes, 1)
    return Memory(per_input=multiple)


@hookimpl
def preimage_examples(folder: Path) -> Iterator[tuple[Settings, xr.Dataset]]:
    """Both boundaries, real and complex, even and odd lengths, kernels that are shared and that are not."""
    random = np.random.default_rng(0)
    volume = random.standard_normal((3, 1, 6, 2), np.float32).view(np.complex64)[..., 0]
    yield Settings(size=(1, 3), own_kernels=("z",)), xr.Dataset({"measurement": (("z", "y", "x"), volume)})
    valid = xr.Dataset({"measurement": (("z", "y_valid", "x_valid"), volume)})
    yield Settings(size=2, boundary="valid", start_sigma=0), valid
    colours = random.random((5, 2, 4), np.float32)
    for boundary in ("periodic", "valid"):
        dims = tuple(dim + "_valid" * (boundary == "valid" and dim != "channel") for dim in ("y", "channel", "x"))
        for own in ((), ("channel",)):
            settings = Settings(size=(2, 3), dims=("y", "x"), own_kernels=own, boundary=boundary)
            yield settings, xr.Dataset({"measurement": (dims, colours)})
    yield Settings(size=3), xr.Dataset({"truth": (("y", "x"), random.random((7, 4), np.float32))})


def _blurred(settings: Settings, dataset: xr.Dataset) -> tuple[Space, dict[str, int], tuple[str, ...]]:
    """The image's space, the length of the kernel along the blurred dims, and the dims with kernels of their own."""
    image, dims = blurred_image(
        dataset, WHO, settings.dims, settings.boundary, lambda dims: _lengths(settings, settings.dims or dims)
    )
    own = require_dims(settings.own_kernels, image, f"{WHO}: own_kernels")
    if both := set(own) & set(dims):
        raise DataError(f"{WHO}: own_kernels names {both.pop()!r}, along which the image is blurred")
    return image, _lengths(settings, settings.dims or dims), own


def _lengths(settings: Settings, dims: tuple[str, ...]) -> dict[str, int]:
    if not isinstance(settings.size, tuple):
        return dict.fromkeys(dims, settings.size)
    if len(settings.size) != len(dims):
        raise DataError(f"{WHO}: size has {len(settings.size)} numbers for the {len(dims)} dims {', '.join(dims)}")
    return dict(zip(dims, settings.size, strict=True))
