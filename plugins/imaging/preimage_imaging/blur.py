"""Blur: convolution with a point spread function, periodic or valid."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from pydantic import Field

import preimage
from preimage import Memory, hookimpl, split, whole
from preimage.data import device_of
from preimage.declarations import Axis
from preimage.errors import DataError
from preimage.space import Space
from preimage_imaging.convolution.images import PeriodicConvolution, ValidConvolution, valid_space
from preimage_imaging.convolution.measured import Boundary, blurred_image
from preimage_imaging.convolution.psf import GaussianPsf, GivenPsf, MotionPsf, Psf
from preimage_imaging.headers import image_space

WHO = "operator blur"


Pixels = Annotated[float, Field(gt=0, le=1e4)]


uses = ("psf",)


class Motion(preimage.Settings):
    """A movement along a straight line, at constant speed, while the shutter is open."""

    length: Annotated[float, Field(gt=0, le=1e3)]
    """How far the image moves, in pixels."""
    angle: float = Field(default=0.0, allow_inf_nan=False)
    """Direction in degrees: 0 is along the last blurred dim, 90 along the one before. With rows counted downwards the
    line turns clockwise."""


class Settings(preimage.Settings):
    """The psf is the dataset's variable `psf`, as it is, or a Gaussian or a motion with the sum 1.

    A dim of the psf that belongs to the blurred dim `x` is called `psf_x`; others, such as `channel`, have the
    image's names and lengths.
    """

    sigma: Pixels | tuple[Pixels, ...] | None = None
    """Standard deviation of a Gaussian psf in pixels, one or one for each blurred dim; for a dataset without `psf`."""
    motion: Motion | None = None
    """A motion blur of two dims, such as { length = 9, angle = 30 }; for a dataset without `psf`."""
    dims: tuple[str, ...] | None = None
    """The blurred dims; default: the image's last two."""
    boundary: Boundary = "periodic"
    """periodic: the image repeats itself, and the blur can be inverted in closed form. valid: only where the whole psf
    lies inside the image is measured; the data are shorter than the image, and their dims are called `x_valid`."""


@hookimpl
def preimage_operator(
    settings: Settings, dataset: xr.Dataset, shared: MutableMapping[str, Any]
) -> PeriodicConvolution | ValidConvolution:
    """The blur of a block; the spectrum of its psf is kept for the next block."""
    preimage_spaces(settings, dataset)  # checks every length before anything of it is allocated
    domain, dims, blurring = _blurred(settings, dataset)
    values = blurring.values(domain)
    device = device_of(dataset)
    psf = torch.from_numpy(values).to(device)
    kind = PeriodicConvolution if settings.boundary == "periodic" else ValidConvolution
    digest = hashlib.blake2b(values.tobytes(), digest_size=16).hexdigest()
    periods = tuple(domain.sizes[dim] for dim in dims)
    key = (kind, domain.dims, dims, periods, domain.dtype, str(device), values.shape, values.dtype.name, digest)
    known, otf = shared.get(WHO, (None, None))
    operator = kind(domain, psf, dims, otf if known == key else None)
    shared[WHO] = (key, operator.otf)
    return operator


@hookimpl
def preimage_spaces(settings: Settings, dataset: xr.Dataset) -> tuple[Space, Space]:
    """The image's space, and for a valid blur the shorter one of the data."""
    image, _, psf = _blurred(settings, dataset)
    kernel = psf.lengths()
    return image, image if settings.boundary == "periodic" else valid_space(image, kernel)


@hookimpl
def preimage_axes(settings: Settings, dataset: xr.Dataset) -> Mapping[str, Axis]:
    """The FFT needs the blurred dims whole; along the others every image is by itself."""
    domain, dims, _ = _blurred(settings, dataset)
    return {dim: whole if dim in dims else split for dim in domain.dims}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The measurement; of the image's size its spectrum, that of the psf, their product's inverse and a result."""
    image = _blurred(settings, dataset).image
    multiple = 1 + 4 * image.nbytes / max(image_space(dataset, WHO).nbytes, 1)
    return Memory(per_input=multiple)


@hookimpl
def preimage_examples(folder: Path) -> Iterator[tuple[Settings, xr.Dataset]]:
    """Both boundaries, real and complex, even and odd lengths, a dim of length one, and a psf for each channel."""
    random = np.random.default_rng(0)
    volume = random.standard_normal((3, 1, 6, 2), np.float32).view(np.complex64)[..., 0]
    field = 0.2 * random.standard_normal((2, 3, 2), np.float32).view(np.complex64)[..., 0]
    field[1, 1] += 1  # well conditioned, so that the inverses are known to many digits
    psf = xr.Variable(("psf_y", "psf_x"), field)
    yield Settings(), xr.Dataset({"measurement": (("z", "y", "x"), volume), "psf": psf})
    yield (
        Settings(boundary="valid"),
        xr.Dataset({"measurement": (("z", "y_valid", "x_valid"), volume), "psf": psf}),
    )

    colours = random.random((2, 5, 4), np.float32)
    aberrations = 0.1 * random.standard_normal((2, 3, 2), np.float32)
    aberrations[:, 1, 1] += 1
    psf = xr.Variable(("channel", "psf_y", "psf_x"), aberrations)
    yield Settings(), xr.Dataset({"truth": (("channel", "y", "x"), colours), "psf": psf})

    truth = xr.Dataset({"truth": (("y", "x"), random.random((7, 4), np.float32))})
    yield Settings(sigma=0.5, dims=("x",)), truth
    yield Settings(sigma=(0.5, 0.3), boundary="valid"), truth


class _Blurred(NamedTuple):
    """What the headers say: the image's space, the blurred dims in its order, and the psf."""

    image: Space
    dims: tuple[str, ...]
    psf: Psf


def _blurred(settings: Settings, dataset: xr.Dataset) -> _Blurred:
    image, dims = blurred_image(
        dataset, WHO, settings.dims, settings.boundary, lambda dims: _psf(settings, dataset, dims).lengths()
    )
    return _Blurred(image, dims, _psf(settings, dataset, dims))


def _psf(settings: Settings, dataset: xr.Dataset, dims: tuple[str, ...]) -> Psf:
    """The one psf that there is: the dataset's, or one of the settings."""
    asked = {name: value for name in ("sigma", "motion") if (value := getattr(settings, name)) is not None}
    given = "psf" in dataset.variables
    if not asked and not given:
        raise DataError(f"{WHO} needs a 'psf' in the dataset, or its setting sigma, such as sigma = 2, or motion")
    if len(asked) + given > 1:
        several = [f"has {' and '.join(asked)}", *(["the dataset has a 'psf'"] if given else [])]
        raise DataError(f"{WHO} {', and '.join(several)}: leave out one of them")
    if given:
        return GivenPsf(dataset["psf"].variable, dims)
    if settings.motion is not None:
        return _motion(settings.motion, dims)
    assert settings.sigma is not None
    return _gaussian(settings.sigma, settings.dims or dims)


def _gaussian(sigma: float | tuple[float, ...], dims: tuple[str, ...]) -> GaussianPsf:
    """The Gaussian whose numbers are in the order of these dims."""
    if not isinstance(sigma, tuple):
        return GaussianPsf(dict.fromkeys(dims, sigma))
    if len(sigma) != len(dims):
        raise DataError(f"{WHO}: sigma has {len(sigma)} numbers for the {len(dims)} dims {', '.join(dims)}")
    return GaussianPsf(dict(zip(dims, sigma, strict=True)))


def _motion(motion: Motion, dims: tuple[str, ...]) -> MotionPsf:
    if len(dims) != 2:
        raise DataError(f"{WHO}: a motion is in the plane of two dims, not of {', '.join(dims)}; set dims")
    return MotionPsf((dims[0], dims[1]), motion.length, motion.angle)
