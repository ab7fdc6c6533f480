"""Which samples of k-space are measured: regular lines, variable density, or what the data say; some held out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Literal, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

import preimage
from preimage import Memory, hookimpl, split
from preimage.data import Preparation, Region, is_small, lazy
from preimage.declarations import Axis
from preimage.errors import DataError
from preimage_mri.dims import COIL, IMAGE_DIM, comma, in_kspace, names
from preimage_mri.examples import kspace_dataset
from preimage_mri.sampling import patterns
from preimage_mri.sampling.centre import box_mask, centre_box

WHO = "sampling-mask"
SLAB = 64 * 2**20
"""Bytes of the measurement that are looked at in one go."""

requires: dict[str, tuple[str, ...]] = {}
provides: dict[str, tuple[str, ...]] = {"mask": (), "measurement": ()}  # the measurement only where there is one


class Settings(preimage.Settings):
    """The pattern, and what is kept from the solver."""

    pattern: Literal["regular", "variable-density", "from-data"]
    """regular: every so many lines along one dim. variable-density: random samples, rarer outwards.
    from-data: the samples that are not zero."""
    dims: tuple[str, ...] | None = None
    """Dims of k-space that the mask has, such as kz, ky; from-data: all of the measurement's if it is left out."""
    acceleration: float = Field(default=4.0, ge=1)
    """regular: the distance of lines, to which those of the centre are added. variable-density: all samples divided
    by those that are measured, the centre included, to the nearest sample."""
    centre: dict[str, PositiveInt] = Field(default_factory=dict)
    """Lengths of the box round frequency 0 that is fully sampled, such as { kz = 16, ky = 8 }. For `hold_out` it is
    the largest one that the mask has if it is left out."""
    power: NonNegativeFloat = 3.0
    """variable-density: the density is (1 − r)^power, with r from 0 in the middle to 1 in the corners."""
    hold_out: float = Field(default=0.0, ge=0, lt=1)
    """This share of the samples outside the centre leaves the mask and becomes the variable `held_out`, by which a
    result without a truth is judged."""
    seed: int = Field(default=0, ge=0)
    """Of what is drawn at random."""

    @model_validator(mode="after")
    def _is_a_pattern(self) -> Self:
        if self.dims is None and self.pattern != "from-data":
            raise ValueError(f'{self.pattern} needs dims, such as dims = ["ky"]')
        strange = [dim for dim in self.dims or () if dim not in IMAGE_DIM]
        if strange or self.dims == ():
            raise ValueError(f"dims: {comma(strange)} is no dim of k-space: use some of {comma(IMAGE_DIM)}")
        if self.pattern == "regular" and (len(self.dims or ()) != 1 or self.acceleration != int(self.acceleration)):
            raise ValueError("regular needs one dim and a whole number as acceleration")
        outside = [dim for dim in self.centre if self.dims is not None and dim not in self.dims]
        if outside:
            raise ValueError(f"centre: {comma(outside)} is not among dims = {comma(self.dims or ())}")
        return self


class SamplingMask(Preparation):
    """Adds `mask`, and `held_out` if some samples are; a measurement that is there becomes 0 where it is not sampled.

    Where there is a mask already, both must be True. Samples that are held out keep their values: they leave the
    mask alone. A pattern from the data looks at the first coil, and takes a sample as measured if it is not zero
    anywhere along the dims that the mask lacks.
    """

    def __init__(self, settings: Settings, dataset: xr.Dataset) -> None:
        self.settings = settings
        self.sizes = _kspace_sizes(dataset)
        self.from_data = settings.pattern == "from-data"

    def describe(self, dataset: xr.Dataset) -> xr.Dataset:
        """Add the masks, whose values are made, or found in the data, when they are first looked at.

        Raises
        ------
        DataError : the data have no such dims in k-space, or there are no data where they are needed.
        """
        self._check(dataset)
        masks = _Masks(self.settings, self.sizes, dataset)
        after = dataset.assign(mask=masks.variable("mask"))
        return after.assign(held_out=masks.variable("held_out")) if self.settings.hold_out else after

    def _check(self, dataset: xr.Dataset) -> None:
        missing = [dim for dim in self.settings.dims or () if dim not in self.sizes]
        if missing or not self.sizes:
            raise DataError(
                f"{WHO}: dims = {comma(self.settings.dims or ())}, and the dataset has {comma(self.sizes)} in k-space; "
                "put it before readout-ifft, and name dims that the loader has"
            )
        masked = self.settings.dims or tuple(self.sizes)
        strange = [dim for dim, n in self.settings.centre.items() if dim not in masked or n > self.sizes[dim]]
        if strange:
            lengths = ", ".join(f"{dim} of length {self.sizes[dim]}" for dim in masked)
            raise DataError(f"{WHO}: centre = {self.settings.centre}, and the mask has {lengths}")
        if "measurement" not in dataset.variables:
            if self.from_data:
                raise DataError(f'{WHO}: pattern = "from-data" needs a measurement that is there, not a simulated one')
            if self.settings.hold_out:
                raise DataError(f"{WHO}: hold_out is for measured data; simulated data are judged by their truth")
        if "mask" in dataset.variables and not is_small(dataset, "mask"):
            raise DataError(f"{WHO}: there is a 'mask' already that is not marked small: drop it, or mark it")

    def reads(self, dataset: xr.Dataset) -> Region:
        """The first coil if the data say what was sampled; else next to nothing."""
        if self.from_data:
            return {COIL: slice(0, 1)} if COIL in dataset.dims else {}
        return {dim: slice(0, 1) for dim in names(dataset.dims) if dim not in _mask_dims(dataset)}

    def fit(self, dataset: xr.Dataset) -> xr.Dataset:
        """The masks."""
        masks = _Masks(self.settings, self.sizes, dataset)
        fitted = xr.Dataset({"mask": masks.variable("mask")})
        return fitted.assign(held_out=masks.variable("held_out")) if self.settings.hold_out else fitted

    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """Add the masks, and set samples that are not measured to 0."""
        after = dataset.assign({name: array.variable for name, array in fitted.data_vars.items()})
        if "measurement" in dataset.variables:
            found = dataset["measurement"].variable
            kept = fitted["mask"].variable
            kept = kept | fitted["held_out"].variable if "held_out" in fitted.variables else kept
            zero = np.zeros((), found.dtype)
            sampled = found.where(kept, zero).transpose(*found.dims)  # type: ignore[no-untyped-call]
            after["measurement"] = xr.Variable(found.dims, sampled.values, found.attrs)
        return after


class _Masks:
    """The masks of a dataset, found when they are first looked at.

    Attributes
    ----------
    sizes : dims of the masks and their lengths.
    """

    def __init__(self, settings: Settings, lengths: Mapping[str, int], dataset: xr.Dataset) -> None:
        self.settings = settings
        self.dataset = dataset
        self.drawn = {dim: lengths[dim] for dim in settings.dims or lengths}
        self.sizes = {**self.drawn, **{dim: dataset.sizes[dim] for dim in _mask_dims(dataset) if dim not in self.drawn}}

    def variable(self, name: Literal["mask", "held_out"]) -> xr.Variable:
        """One of them as a small variable."""
        return lazy(
            tuple(self.sizes), tuple(self.sizes.values()), bool, lambda index: getattr(self, name)[index], small=True
        )

    @cached_property
    def sampled(self) -> NDArray[np.bool_]:
        """True where a sample was measured."""
        mask = xr.Variable(tuple(self.drawn), self._pattern())
        if "mask" in self.dataset.variables:
            mask = (mask & self.dataset["mask"].variable).transpose(*self.sizes)
        return np.asarray(mask.values)

    def _pattern(self) -> NDArray[np.bool_]:
        chosen = self.settings
        match chosen.pattern:
            case "regular":
                return patterns.regular(self.drawn, int(chosen.acceleration), chosen.centre)
            case "variable-density":
                return patterns.variable_density(
                    self.drawn, chosen.acceleration, chosen.centre, chosen.power, chosen.seed
                )
            case "from-data":
                return _not_zero(self.dataset, tuple(self.drawn))

    @cached_property
    def held_out(self) -> NDArray[np.bool_]:
        """True where a sample was measured and is kept from the solver."""
        box = self.settings.centre or dict(zip(self.sizes, centre_box(self.sampled), strict=True))
        centre = box_mask(self.sizes, box) if all(box.values()) else np.zeros_like(self.sampled)
        return patterns.held_out(self.sampled, centre, self.settings.hold_out, self.settings.seed)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """True where the solver knows a sample."""
        return self.sampled & ~self.held_out if self.settings.hold_out else self.sampled


def _not_zero(dataset: xr.Dataset, dims: tuple[str, ...]) -> NDArray[np.bool_]:
    """Where the measurement of the first coil is not zero, read slab by slab along the first dim."""
    found = dataset["measurement"].variable
    found = found.isel({COIL: 0}) if COIL in found.dims else found
    others = [dim for dim in found.dims if dim not in dims]
    first, n = dims[0], found.sizes[dims[0]]
    step = max(1, n * SLAB // (found.size * found.dtype.itemsize))
    slabs = []
    for start in range(0, n, step):
        slab = (found.isel({first: slice(start, start + step)}) != 0).any(others)
        slabs.append(slab.transpose(*dims).values)
    mask: NDArray[np.bool_] = np.concatenate(slabs)
    if not mask.any():
        raise DataError(
            f'{WHO}: pattern = "from-data" finds no sample of the first coil that is not zero; '
            "it must come before preparations that change the measurement"
        )
    return mask


def _kspace_sizes(dataset: xr.Dataset) -> dict[str, int]:
    """Lengths of the dims of k-space: the measurement's, or those that a simulated one will have."""
    for name in ("measurement", "sensitivities", "truth"):
        if name in dataset.variables:
            dims = names(dataset[name].dims)
            inside = dims if name == "measurement" else in_kspace(dims)
            return {after: dataset.sizes[dim] for dim, after in zip(dims, inside, strict=True) if after in IMAGE_DIM}
    return {}


def _mask_dims(dataset: xr.Dataset) -> tuple[str, ...]:
    return names(dataset["mask"].dims) if "mask" in dataset.variables else ()


@hookimpl
def preimage_preparation(settings: Settings, dataset: xr.Dataset) -> SamplingMask:
    """Make the preparation."""
    return SamplingMask(settings, dataset)


@hookimpl
def preimage_axes(settings: Settings, dataset: xr.Dataset) -> Mapping[str, Axis]:
    """Every sample is on its own."""
    return {dim: split for name in dataset.data_vars for dim in names(dataset[name].dims)}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The data, and the data with zeros."""
    return Memory(per_input=2.25)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, xr.Dataset]]:
    """Every pattern, on data, on a mask that is there, with and without samples held out."""
    data = kspace_dataset({"coil": 2, "kx": 3, "kz": 6, "ky": 7})
    yield Settings(pattern="regular", dims=("ky",), acceleration=3, centre={"ky": 3}), data
    density = Settings(pattern="variable-density", dims=("kz", "ky"), acceleration=2, centre={"kz": 2, "ky": 3})
    yield density, data
    yield density.model_copy(update={"hold_out": 0.2, "seed": 1}), data
    yield density.model_copy(update={"centre": {}}), kspace_dataset({"x": 3, "kz": 5, "ky": 1})
    masked = kspace_dataset({"kz": 6, "coil": 2, "ky": 7}, ["kz", "ky"])
    yield Settings(pattern="regular", dims=("ky",), acceleration=2), masked
    zeros = masked.assign(measurement=masked["measurement"] * masked["mask"]).drop_vars("mask")
    yield Settings(pattern="from-data", hold_out=0.1), zeros
    yield Settings(pattern="from-data", dims=("ky",)), data
