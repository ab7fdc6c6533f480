"""Coded exposure: one photograph adds up the frames of a video, each seen through a code of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import preimage
import torch
import xarray as xr
from preimage import LinearOperator, Memory, Space, hookimpl, split
from preimage.data import require, tensor, torch_dtype
from preimage.declarations import Axis
from preimage.errors import DataError
from preimage.operators import Norm
from pydantic import PositiveFloat
from torch import Tensor

WHO = "operator coded-exposure"
TIME = "time"

requires = {"code": (TIME,)}
"""Variables of the dataset that it needs, with dims that each must have; checked before a run."""


class Settings(preimage.Settings):
    """What a run file may set. `preimage describe` shows the text below each setting."""

    gain: PositiveFloat = 1.0
    """What the camera gives for a pixel of brightness 1 that is seen throughout one frame."""


class CodedExposure(LinearOperator):
    """y = gain · Σ_t code[t] · x[t].

    Parameters
    ----------
    code : (time, *pixels), the share of its light that a pixel lets through in each frame.
    domain : space of the video, time first.
    gain : of the camera.

    References
    ----------
    Llull et al., Coded aperture compressive temporal imaging, Optics Express 21, 2013.
    """

    def __init__(self, code: Tensor, domain: Space, gain: float) -> None:
        super().__init__(domain, Space(domain.dims[1:], domain.shape[1:], domain.dtype))
        self.code = code
        self.gain = gain
        self.time = domain.axis(TIME)  # counted from the end: there may be batch axes in front

    def _apply(self, x: Tensor) -> Tensor:
        return (self.code * x).sum(self.time) * self.gain

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return self.code * y.unsqueeze(self.time) * self.gain

    def _bound(self) -> Norm:
        """Pixels are independent: of each the norm is the length of its code. Left out, it is estimated."""
        return Norm(self.gain * float(self._energy().max().sqrt()), "exact")

    def pinv(self, y: Tensor) -> Tensor:
        """A⁺y, since AAᵀ is a number for each pixel. This method makes the operator `PseudoInvertible`; few are."""
        energy = self._energy()
        seen = energy > 0
        return self.code * (torch.where(seen, y, 0) / (self.gain * torch.where(seen, energy, 1))).unsqueeze(self.time)

    def _energy(self) -> Tensor:
        return self.code.square().sum(self.time)


@hookimpl
def preimage_operator(settings: Settings, dataset: xr.Dataset) -> CodedExposure:
    """Make the operator of a block. The annotation says what it can do: solvers are chosen by it."""
    domain, _ = preimage_spaces(dataset)
    return CodedExposure(tensor(dataset, "code", domain.dims), domain, settings.gain)


@hookimpl
def preimage_spaces(dataset: xr.Dataset) -> tuple[Space, Space]:
    """The unknown and the data, from headers: no value is read here."""
    found = require(dataset, "code", who=WHO)
    dtype = torch_dtype(dataset, "code")
    if not dtype.is_floating_point:
        raise DataError(f"{WHO} needs 'code' as real floating-point numbers: it is {found.dtype}; convert it")
    pixels = tuple(str(dim) for dim in found.dims if dim != TIME)
    shape = tuple(found.sizes[dim] for dim in pixels)
    return Space((TIME, *pixels), (found.sizes[TIME], *shape), dtype), Space(pixels, shape, dtype)


@hookimpl
def preimage_axes(dataset: xr.Dataset) -> Mapping[str, Axis]:
    """Pixels are independent, so large videos are cut into blocks; time is not named, and is kept whole."""
    return {str(dim): split for dim in dataset["code"].dims if dim != TIME}


@hookimpl
def preimage_memory() -> Memory:
    """What a block needs at its peak: so many times its photograph, and so many times its video."""
    return Memory(per_input=2, per_image=3)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, xr.Dataset]]:
    """Small examples on which the laws are checked; odd lengths and lengths of one find most mistakes."""
    random = np.random.default_rng(0)
    for settings, dims, shape in (
        (Settings(), ("time", "y", "x"), (4, 3, 5)),
        (Settings(gain=2.5), ("y", "time", "x"), (1, 3, 4)),
        (Settings(), ("time", "x"), (1, 6)),
    ):
        yield settings, xr.Dataset({"code": (dims, random.random(shape).astype(np.float32))})
