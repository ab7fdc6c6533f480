"""Phase retrieval: amplitudes or intensities of coded diffraction, oversampled Fourier or Gaussian measurements."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import xarray as xr
from pydantic import Field, PositiveInt, model_validator

import preimage
from preimage import Memory, hookimpl, split, whole
from preimage.data import require
from preimage.declarations import Axis
from preimage.errors import DataError
from preimage.space import Space
from preimage_optics.layout import layout
from preimage_optics.maps.diffraction import PATTERN
from preimage_optics.maps.gaussian import SAMPLE
from preimage_optics.models import Patterns, Projections
from preimage_optics.phaseless import Phaseless

WHO = "operator phase-retrieval"
OVERSAMPLING = {"coded-diffraction": 1.0, "fourier": 2.0, "gaussian": 8.0}
N_PATTERNS = 6

uses = ("modulation",)


class Settings(preimage.Settings):
    """What is measured: y = |B x|^power, with one of three linear maps B.

    Along a diffracted dim `y` the data have `ky`, with frequency 0 in the middle; Fourier transforms are unitary. What
    is not set here is what the measurement has, and where that is to be simulated the default.
    """

    model: Literal["coded-diffraction", "fourier", "gaussian"] = "coded-diffraction"
    """coded-diffraction: Fourier transforms of the object under several masks: the dataset's `modulation` (pattern and
    the diffracted dims), or drawn ones of eight values. fourier: of the object itself, padded with zeros.
    gaussian: projections on random vectors of complex N(0, 1) entries over √pixels; for small objects."""
    power: Literal[1, 2] = 2
    """Data are amplitudes (1) or intensities (2). The likelihood gaussian takes either; √counts, which are amplitudes,
    have noise of one strength, as it supposes. poisson is for 2: counts are intensities. amplitude is for linear
    operators, which leave the magnitude to it; of this operator's data it makes what gaussian does."""
    object: Literal["complex", "real"] = "complex"
    """Whether the object is complex, and known up to its phase, or real, and known up to its sign."""
    dims: tuple[str, ...] = Field(default=("y", "x"), min_length=1)
    """Dims of the object that are diffracted or projected; along the others every index is an object of its own."""
    n_patterns: PositiveInt | None = None
    """coded-diffraction: how many masks are drawn; default: 6."""
    oversampling: Annotated[float, Field(ge=1, le=64)] | None = None
    """coded-diffraction, fourier: length of a pattern for each element of the object along a dim; defaults: 1 and 2.
    gaussian: samples for each pixel; default: 8."""
    sizes: dict[str, PositiveInt] | None = None
    """Lengths of the object along dims, such as { y = 8, x = 8 }, for a dataset without `truth` and `modulation`.
    Patterns tell them too, by their oversampling; gaussian samples do not."""
    seed: int = Field(default=0, ge=0)
    """Of what is drawn at random: all blocks draw the same."""

    @model_validator(mode="after")
    def _fits_the_model(self) -> Self:
        if len(set(self.dims)) < len(self.dims):
            raise ValueError(f"dims names a dim twice: {', '.join(self.dims)}")
        if self.sizes is not None and set(self.sizes) != set(self.dims):
            raise ValueError(f"sizes gives the lengths of {', '.join(self.sizes)}: dims are {', '.join(self.dims)}")
        if self.n_patterns is not None and self.model != "coded-diffraction":
            raise ValueError(f"n_patterns is for coded-diffraction: a {self.model} measurement has no patterns")
        return self


@hookimpl
def preimage_operator(settings: Settings, dataset: xr.Dataset, shared: MutableMapping[str, Any]) -> Phaseless:
    """The magnitudes of a block; what is drawn at random is kept for the next block."""
    ambiguity = frozenset({"shift", "flip"} if settings.model == "fourier" else ())
    return Phaseless(_model(settings, dataset).linear(dataset, shared), settings.power, ambiguity)


@hookimpl
def preimage_spaces(settings: Settings, dataset: xr.Dataset) -> tuple[Space, Space]:
    """The object's space, and that of its real data."""
    model = _model(settings, dataset)
    return model.domain, Space(model.field.dims, model.field.shape, model.field.dtype.to_real())


@hookimpl
def preimage_axes(settings: Settings, dataset: xr.Dataset, domain: Space) -> Mapping[str, Axis]:
    """What is measured together is whole; along the other dims every object is by itself."""
    return {dim: whole if dim in settings.dims else split for dim in domain.dims}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The map; the data, and of twice their size the coded object, its field, what comes back, and its transform."""
    model = _model(settings, dataset)
    return Memory(fixed=model.n_held * model.field.dtype.itemsize, per_input=9)


@hookimpl
def preimage_examples(folder: Path) -> Iterator[tuple[Settings, xr.Dataset]]:
    """Each model, both powers, real and complex; masks of the dataset; a dim that splits; odd lengths, and one of 1."""
    random = np.random.default_rng(0)

    def field(*shape: int) -> np.ndarray[Any, Any]:
        return random.standard_normal((*shape, 2), np.float32).view(np.complex64)[..., 0]

    objects = xr.Dataset({"truth": (("z", "y", "x"), field(3, 4, 5))})
    yield Settings(), objects
    yield Settings(power=1, n_patterns=2, oversampling=1.5, dims=("x", "z"), seed=3), objects
    patterns = random.random((3, 2, 5, 4), np.float32)
    masks = xr.Variable((PATTERN, "x", "y"), field(3, 4, 5))
    data = xr.Dataset({"measurement": ((PATTERN, "time", "ky", "kx"), patterns), "modulation": masks})
    yield Settings(), data
    yield Settings(power=1, object="real", dims=("x",)), xr.Dataset({"truth": (("y", "x"), random.random((1, 7)))})
    aperture = xr.Dataset({"measurement": (("ky", "kx"), patterns[0, 0]), "modulation": (("y", "x"), field(5, 4).real)})
    yield Settings(object="real"), aperture

    real = xr.Dataset({"truth": (("x", "time", "y"), random.random((5, 2, 4), np.float32))})
    yield Settings(model="fourier", object="real"), real
    yield (
        Settings(model="fourier", power=1, oversampling=1.75),
        xr.Dataset({"measurement": (("ky", "kx"), patterns[0, 0])}),
    )
    yield Settings(model="gaussian", object="real", oversampling=1.5), real
    samples = xr.Dataset({"measurement": ((SAMPLE, "time"), random.random((14, 2), np.float32))})
    yield Settings(model="gaussian", power=1, sizes={"y": 3, "x": 1}), samples


def _model(settings: Settings, dataset: xr.Dataset) -> Patterns | Projections:
    """The model of a dataset, from its headers."""
    masks = _given_masks(settings, dataset)
    given, default = settings.oversampling, OVERSAMPLING[settings.model]
    found = layout(
        dataset,
        settings.dims,
        settings.sizes or {dim: n for dim, n in masks.items() if dim != PATTERN},
        None if settings.model == "gaussian" else given or default,
        is_complex=settings.object == "complex",
        who=WHO,
    )
    domain = found.object
    dims = tuple(dim for dim in domain.dims if dim in settings.dims)
    sizes = tuple(domain.sizes[dim] for dim in dims)
    if settings.model == "gaussian":
        return Projections(domain, dims, found.length(SAMPLE, given, default, math.prod(sizes)), settings.seed)
    lengths = tuple(found.length(f"k{dim}", given, default, n) for dim, n in zip(dims, sizes, strict=True))
    if settings.model == "fourier":
        return Patterns(domain, dims, lengths, (1,) * len(dims), None)
    if masks:
        return Patterns(domain, dims, lengths, (*(masks[dim] for dim in masks if dim == PATTERN), *sizes), None)
    n_patterns = found.length(PATTERN, settings.n_patterns, N_PATTERNS)
    return Patterns(domain, dims, lengths, (n_patterns, *sizes), settings.seed)


def _given_masks(settings: Settings, dataset: xr.Dataset) -> Mapping[str, int]:
    """The lengths of the dataset's masks, empty if it has none.

    Raises
    ------
    DataError : they would be ignored, are overruled by settings, or have other dims than the object's.
    """
    if "modulation" not in dataset.variables:
        return {}
    if settings.model != "coded-diffraction":
        raise DataError(f"{WHO}: in the model {settings.model} there are no masks: drop the dataset's 'modulation'")
    for name in ("n_patterns", "sizes"):
        if (value := getattr(settings, name)) is not None:
            raise DataError(f"{WHO} has {name} = {value}, and the dataset has a 'modulation': leave out one of them")
    found = require(dataset, "modulation")
    wanted = (PATTERN, *settings.dims) if PATTERN in found.dims else settings.dims
    require(dataset, "modulation", wanted, WHO)
    return {dim: found.sizes[dim] for dim in wanted}
