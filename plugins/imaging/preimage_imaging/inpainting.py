"""Inpainting: only the pixels under a mask are measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

import preimage
from preimage import Memory, hookimpl, split
from preimage.data import ORIGIN, WHOLE, device_of, require
from preimage.declarations import Axis
from preimage.errors import DataError, SpaceError
from preimage.operators import SVD, Identity, LinearOperator, Norm
from preimage.randomness import Draw, derive_seed
from preimage.space import Space
from preimage_imaging.headers import image_space, require_dims

WHO = "operator inpainting"


uses = ("mask",)


class Settings(preimage.Settings):
    """Where pixels are measured: the dataset's `mask` says it, or it is drawn from these settings."""

    keep: float | None = Field(default=None, gt=0, le=1)
    """Share of the pixels that are measured, drawn at random, for a dataset that has no `mask`."""
    dims: tuple[str, ...] | None = None
    """Dims over which the mask is drawn, and along the others repeated; default: all but `channel`."""
    seed: int = Field(default=0, ge=0)
    """Seed of the drawn mask."""


class Inpainting(LinearOperator):
    """y = mask · x: an orthogonal projection.

    Parameters
    ----------
    domain : space of the image; the data have it too, with zeros where nothing is measured.
    mask : bool, True where a pixel is measured; one axis for each dim of the domain, of its length or 1.
    """

    domain: Space

    def __init__(self, domain: Space, mask: Tensor) -> None:
        fits = mask.ndim == domain.ndim and all(m in (1, n) for m, n in zip(mask.shape, domain.shape, strict=True))
        if mask.dtype != torch.bool or not fits:
            raise SpaceError(
                f"a mask is bool and has, for each dim of the image {domain.sizes}, its length or 1: "
                f"this one is {mask.dtype} of shape {tuple(mask.shape)}"
            )
        super().__init__(domain, domain)
        self.mask = mask

    def _apply(self, x: Tensor) -> Tensor:
        return x * self.mask

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return y * self.mask

    _apply_normal = _apply

    def _bound(self) -> Norm:
        return Norm(float(self.mask.any()), "exact")

    def solve_normal(self, rhs: Tensor, damping: Any) -> Tensor:
        """Rhs / (mask + damping)."""
        return torch.where(self.mask, rhs / (1 + damping), rhs / damping)

    def pinv(self, y: Tensor) -> Tensor:
        """Mask · y: a projection is its own pseudo-inverse."""
        return y * self.mask

    def svd(self) -> SVD:
        """V = I, s = mask, and Uᴴ the projection itself."""
        return SVD(Identity(self.domain), self.mask.to(self.domain.dtype.to_real()), self)

    def transform(self, x: Tensor) -> Tensor:
        """X itself: pixels are masked as they are."""
        return x

    def inverse_transform(self, spectrum: Tensor) -> Tensor:
        """The spectrum itself."""
        return spectrum

    def sampling_mask(self) -> Tensor:
        """True where a pixel is measured."""
        return self.mask


@hookimpl
def preimage_operator(settings: Settings, dataset: xr.Dataset) -> Inpainting:
    """The projection onto the measured pixels of a block.

    A block may well have none, such as a slice that was not measured; the whole may not.
    """
    domain = image_space(dataset, WHO)
    mask = _drawn(settings, dataset, domain) if _draws(settings, dataset) else _given(dataset, domain)
    if not mask.any() and all(dataset.attrs.get(WHOLE, {}).get(dim, n) == n for dim, n in domain.sizes.items()):
        raise DataError(f"{WHO}: the mask is False everywhere, so nothing is measured")
    return Inpainting(domain, torch.from_numpy(mask).to(device_of(dataset)))


@hookimpl
def preimage_spaces(settings: Settings, dataset: xr.Dataset) -> tuple[Space, Space]:
    """The image's space, twice."""
    space = image_space(dataset, WHO)
    if _draws(settings, dataset):
        _drawn_dims(settings, space)
    else:
        _given_dims(dataset, space)
    return space, space


@hookimpl
def preimage_axes(settings: Settings, dataset: xr.Dataset) -> Mapping[str, Axis]:
    """Every pixel is by itself."""
    return dict.fromkeys(image_space(dataset, WHO).dims, split)


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The measurement, one product, and the mask."""
    mask = 1 / image_space(dataset, WHO).dtype.itemsize
    drawing = 48 * mask if _draws(settings, dataset) else 0  # six words a pixel, before it is thresholded
    return Memory(per_input=2 + mask + drawing, device=2 + mask)


@hookimpl
def preimage_examples(folder: Path) -> Iterator[tuple[Settings, xr.Dataset]]:
    """A mask of the dataset over some of the dims, and one drawn."""
    random = np.random.default_rng(0)
    volume = random.standard_normal((3, 1, 5, 2), np.float32).view(np.complex64)[..., 0]
    mask = xr.Variable(("x", "z"), random.random((5, 3)) < 0.6, {"small": True})
    yield Settings(), xr.Dataset({"measurement": (("z", "y", "x"), volume), "mask": mask})
    colour = random.random((3, 6, 7), np.float32)
    yield Settings(keep=0.5, seed=1), xr.Dataset({"truth": (("channel", "y", "x"), colour)})


def _draws(settings: Settings, dataset: xr.Dataset) -> bool:
    """Whether the mask is drawn; a dataset's own must not be overruled."""
    has_mask = "mask" in dataset.variables
    if has_mask and settings.keep is not None:
        raise DataError(f"{WHO} has keep = {settings.keep}, and the dataset has a 'mask': leave out one of them")
    if not has_mask and settings.keep is None:
        raise DataError(f"{WHO} needs a 'mask' in the dataset, or its setting keep, such as keep = 0.5, to draw one")
    return not has_mask


def _given_dims(dataset: xr.Dataset, domain: Space) -> list[str]:
    found = require(dataset, "mask", who=WHO)
    strange = [str(dim) for dim in found.dims if dim not in domain.dims]
    if strange:
        raise DataError(f"{WHO} needs 'mask' over dims of the image, {', '.join(domain.dims)}: it has {strange[0]!r}")
    return [dim for dim in domain.dims if dim in found.dims]


def _given(dataset: xr.Dataset, domain: Space) -> NDArray[np.bool_]:
    """The dataset's mask, with a dim of length one for each that it lacks."""
    dims = _given_dims(dataset, domain)
    found = dataset["mask"].variable.transpose(*dims)
    values = found.values
    mask = values.astype(bool)
    if not np.array_equal(mask, values):
        raise DataError(f"{WHO} needs a 'mask' of True and False, or of 1 and 0: it has other values")
    return mask.reshape([found.sizes.get(dim, 1) for dim in domain.dims])


def _drawn_dims(settings: Settings, domain: Space) -> tuple[str, ...]:
    if settings.dims is None:
        return tuple(dim for dim in domain.dims if dim != "channel")
    return require_dims(settings.dims, domain, f"{WHO}: dims")


def _drawn(settings: Settings, dataset: xr.Dataset, domain: Space) -> NDArray[np.bool_]:
    """The block of a mask that was drawn for the whole."""
    dims = _drawn_dims(settings, domain)
    origin, whole = dataset.attrs.get(ORIGIN, {}), dataset.attrs.get(WHOLE, {})
    sizes = {dim: domain.sizes[dim] for dim in dims}
    draw = Draw(
        derive_seed(settings.seed, "inpainting"),
        tuple(origin.get(dim, 0) for dim in dims),
        tuple(whole.get(dim, n) for dim, n in sizes.items()),
    )
    kept = draw.uniform(tuple(sizes.values()), torch.float64).numpy() < settings.keep
    return kept.reshape([sizes.get(dim, 1) for dim in domain.dims])
