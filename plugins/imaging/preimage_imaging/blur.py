"""Blur: convolution with a point spread function, periodic or valid."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

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
from preimage_imaging.convolution import MEASURED, PeriodicConvolution, ValidConvolution, valid_space
from preimage_imaging.headers import image_space, require_dims
from preimage_imaging.psf import GaussianPsf, GivenPsf, Psf

WHO = "operator blur"


Pixels = Annotated[float, Field(gt=0, le=1e4)]


uses = ("psf",)


class Settings(preimage.Settings):
    """The psf is the dataset's variable `psf`, as it is, or a Gaussian with the sum 1.

    A dim of the psf that belongs to the blurred dim `x` is called `psf_x`; others, such as `channel`, have the
    image's names and lengths.
    """

    sigma: Pixels | tuple[Pixels, ...] | None = None
    """Standard deviation of a Gaussian psf in pixels, one or one for each blurred dim; for a dataset without `psf`."""
    dims: tuple[str, ...] | None = None
    """The blurred dims; default: the image's last two."""
    boundary: Literal["periodic", "valid"] = "periodic"
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
    return Memory(per_input=multiple, device=multiple)


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
    data = image_space(dataset, WHO)
    shorter = settings.boundary == "valid" and "measurement" in dataset.variables
    names = tuple(dim.removesuffix(MEASURED) for dim in data.dims) if shorter else data.dims
    image = Space(names, data.shape, data.dtype)
    dims = names[-2:] if settings.dims is None else require_dims(settings.dims, image, f"{WHO}: dims")
    if not dims:
        raise DataError(f"{WHO} has no dim to blur: the image's dims are {', '.join(names) or 'none'}")
    psf = _psf(settings, dataset, dims)
    if shorter:
        expected = tuple(dim + MEASURED if dim in dims else dim for dim in names)
        if data.dims != expected:
            raise DataError(
                f"{WHO}: the data of a valid blur are shorter than the image, so 'measurement' has the dims "
                f"{', '.join(expected)}: it has {', '.join(data.dims)}; rename them"
            )
        kernel = psf.lengths()
        image = Space(names, tuple(n + kernel.get(dim, 1) - 1 for dim, n in image.sizes.items()), data.dtype)
    return _Blurred(image, dims, psf)


def _psf(settings: Settings, dataset: xr.Dataset, dims: tuple[str, ...]) -> Psf:
    """The dataset's psf, which must not be overruled, or a Gaussian."""
    if "psf" in dataset.variables:
        if settings.sigma is not None:
            raise DataError(f"{WHO} has sigma = {settings.sigma}, and the dataset has a 'psf': leave out one of them")
        return GivenPsf(dataset["psf"].variable, dims)
    if settings.sigma is None:
        raise DataError(f"{WHO} needs a 'psf' in the dataset, or its setting sigma, such as sigma = 2")
    if not isinstance(settings.sigma, tuple):
        return GaussianPsf(dict.fromkeys(dims, settings.sigma))
    named = settings.dims or dims  # the order in which the numbers were given
    if len(settings.sigma) != len(named):
        raise DataError(f"{WHO}: sigma has {len(settings.sigma)} numbers for the {len(named)} dims {', '.join(named)}")
    return GaussianPsf(dict(zip(named, settings.sigma, strict=True)))
