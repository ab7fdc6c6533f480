"""DnCNN: a convolutional network that was trained to denoise photographs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
import xarray as xr
from pydantic import Field, FiniteFloat, PositiveFloat, model_validator
from torch import Tensor

import preimage
from preimage import Memory, hookimpl, split, whole
from preimage.data import device_of
from preimage.declarations import Axis
from preimage.errors import RequestError
from preimage.movable import Movable
from preimage.priors.adapters import RealLift
from preimage.space import AnySpace, Space
from preimage.weights import describe_weights
from preimage_variational.denoisers.dncnn_network import DnCNN
from preimage_variational.denoisers.dncnn_weights import read_dncnn
from preimage_variational.dims import chosen_dims

WHO = "dncnn"
FEATURES = 128 * 2**20
"""Bytes of the features of one layer that are worked on together: images are denoised in groups of about so much."""

Level = PositiveFloat | Literal["input", "blind"]


class Settings(preimage.Settings):
    """Which weights, what images they were trained on, and what these are in the units of x.

    Complex images are denoised part by part, real and imaginary, each with σ/√2. x and σ are those of data divided by
    the run's scale, max |Aᴴy|, unless `compute.normalise` is false.
    """

    weights: Path
    """A file of weights of grey images: KAIR's (.pth), SCICO's (.mpk), which are imported into the user's cache once,
    or a .safetensors file with their names."""
    noise_level: Level | None = None
    """Standard deviation of the noise that it was trained for, where images lie between 0 and 1, such as 0.098 for
    25/255; it denoises other levels as well, worse. `input`: it is told the level together with the image. `blind`: it
    finds it by itself, and σ makes no difference. Needed unless the file's description says it."""
    value_range: tuple[FiniteFloat, FiniteFloat] = (0.0, 1.0)
    """The values of x, or of its parts, that are black and white in the images that it was trained on."""
    dims: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)] | None = None
    """The two dims of an image; along all others images are independent. Not given: the last two."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.value_range[0] >= self.value_range[1]:
            raise ValueError(f"value_range = {list(self.value_range)}: black is a lower value than white")
        return self


@dataclass(frozen=True)
class DnCNNDenoiser(Movable):
    """D(x, σ) = x − r(x, σ), with r the noise that the network finds.

    A network for one level σ₀ is used for others by two rules: at a higher σ the image is made darker until its noise
    is σ₀, r(x, σ) = σ/σ₀ · r(x·σ₀/σ); at a lower one that share of the noise is taken, r(x, σ) = σ/σ₀ · r(x). With the
    first rule at a low σ the image would be brighter than any that the network has seen.

    Attributes
    ----------
    network : for images whose values it knows.
    axes : of an image, negative.
    gain, offset : from x to the values that the network knows, gain · x + offset.
    level : σ₀ in the network's units, or `input`, or `blind`.

    References
    ----------
    Zhang, Zuo, Chen, Meng & Zhang, Beyond a Gaussian denoiser: residual learning of deep CNN for image denoising, 2017.
    """

    network: DnCNN
    axes: tuple[int, int]
    gain: float
    offset: float
    level: float | Literal["input", "blind"]

    def denoise(self, x: Tensor, sigma: Any) -> Tensor:
        """The denoised x, for a σ that is a number or (*batch, 1, …, 1)."""
        moved = x.movedim(self.axes, (-2, -1))
        images = (moved * self.gain + self.offset).reshape(-1, 1, *moved.shape[-2:])
        sigmas = self._for_each_image(sigma, moved)
        n_bytes = self.network.width * math.prod(images.shape[-2:]) * images.element_size()
        group = max(1, FEATURES // max(n_bytes, 1))
        parts = zip(torch.split(images, group), torch.split(sigmas, group), strict=True)
        noise = [self._noise(*part) for part in parts]
        return x - torch.cat(noise).reshape(moved.shape).movedim((-2, -1), self.axes) * (1 / self.gain)

    def _noise(self, images: Tensor, sigmas: Tensor) -> Tensor:
        """What the network takes for noise, in its units."""
        if self.level == "blind":
            return self.network(images)  # type: ignore[no-any-return]
        if self.level == "input":
            return self.network(torch.cat([images, sigmas.expand_as(images)], 1))  # type: ignore[no-any-return]
        ratio = sigmas / self.level
        return self.network(images / ratio.clamp(min=1)) * ratio  # type: ignore[no-any-return]

    def _for_each_image(self, sigma: Any, moved: Tensor) -> Tensor:
        """σ in the network's units, (image, 1, 1, 1)."""
        leading = moved.shape[:-2]
        if isinstance(sigma, Tensor) and sigma.ndim:
            each = sigma.movedim(self.axes, (-2, -1)).expand(*leading, 1, 1)
        else:
            each = torch.ones_like(moved[..., :1, :1]) * sigma
        return (each * self.gain).reshape(-1, 1, 1, 1)


class ComplexDnCNNDenoiser(RealLift):
    """The same for complex images, part by part: a phase that turns real into imaginary parts changes the result."""

    phase_equivariant = False


@hookimpl
def preimage_prior(
    settings: Settings, domain: AnySpace, dataset: xr.Dataset, shared: MutableMapping[str, Any]
) -> DnCNNDenoiser | ComplexDnCNNDenoiser:
    """The denoiser of a block; a worker reads the weights once."""
    space, dims = _image(settings, domain)
    device, dtype = device_of(dataset), space.dtype.to_real()
    key = f"{WHO} {settings.weights} {device} {dtype}"
    if key not in shared:
        shared[key] = read_dncnn(settings.weights).to(device, dtype)
    network: DnCNN = shared[key]
    expects = describe_weights(settings.weights).expects
    black, white = expects.value_range or (0.0, 1.0)
    low, high = settings.value_range
    gain = (white - black) / (high - low)
    denoiser = DnCNNDenoiser(
        network,
        (space.axis(dims[0]), space.axis(dims[1])),
        gain,
        black - low * gain,
        _level(settings, expects.noise_level, network),
    )
    return ComplexDnCNNDenoiser(denoiser) if space.is_complex else denoiser


@hookimpl
def preimage_axes(settings: Settings, domain: AnySpace) -> Mapping[str, Axis]:
    """A pixel depends on its neighbours, as many as there are layers, and in an iteration on all."""
    space, dims = _image(settings, domain)
    return {dim: whole if dim in dims else split for dim in space.dims}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """Weights; features of two layers, and a padded copy, of a group of images; the images, noise and result."""
    network = read_dncnn(settings.weights)  # what is wrong with the file is told before anything is computed
    n_bytes = sum(parameter.nbytes for parameter in network.parameters())
    features = network.width * _pixels(settings, dataset) * 8
    return Memory(fixed=3 * n_bytes, per_image=4, workspace=3 * max(features, FEATURES))


@hookimpl
def preimage_examples(folder: Path) -> Iterator[tuple[Settings, Space]]:
    """A network for one level and one that is told it; real and complex, odd and size-one axes, dims in any order."""
    from preimage_variational.denoisers.dncnn_examples import write_clipping

    one, told = write_clipping(folder, 0.2), write_clipping(folder, None)
    yield Settings(weights=one, noise_level=0.2), Space(("z", "y", "x"), (2, 5, 4), torch.float64)
    yield Settings(weights=one, noise_level=0.2, value_range=(-2, 3)), Space(("y", "x"), (1, 5), torch.complex128)
    yield Settings(weights=told), Space(("z", "y", "x"), (3, 1, 4), torch.complex128)
    yield Settings(weights=told, dims=("x", "z")), Space(("z", "y", "x"), (3, 2, 5), torch.float64)


def _image(settings: Settings, domain: AnySpace) -> tuple[Space, tuple[str, ...]]:
    """The space of the unknown, and the dims of an image in it."""
    space, dims = chosen_dims(domain, settings.dims, WHO)
    if len(set(dims)) < 2:
        raise RequestError(f"{WHO} denoises images of two dims: the unknown has {', '.join(dims) or 'none'}")
    return space, dims[-2:]


def _level(settings: Settings, described: Level | None, network: DnCNN) -> Level:
    """The setting, else what the file's description says, else `input` for a network that has a channel for it."""
    level = settings.noise_level or described or ("input" if network.told_the_level else None)
    if level is None:
        raise RequestError(
            f"{WHO}: {settings.weights} does not say what noise it was trained for: set noise_level, such as 0.098, "
            "where images lie between 0 and 1"
        )
    if (level == "input") != network.told_the_level:
        needs = "is told the level of the noise" if network.told_the_level else "has no channel for it"
        raise RequestError(f"{WHO}: noise_level = {level!r} does not fit {settings.weights}: the network {needs}")
    return level


def _pixels(settings: Settings, dataset: xr.Dataset) -> int:
    """Of one image, from headers: data have about as many."""
    data = dataset.get("measurement", dataset.get("truth"))
    sizes = {} if data is None else {str(dim): n for dim, n in data.sizes.items()}
    dims = settings.dims if settings.dims and set(settings.dims) <= set(sizes) else tuple(sizes)[-2:]
    return math.prod(sizes[dim] for dim in dims)
