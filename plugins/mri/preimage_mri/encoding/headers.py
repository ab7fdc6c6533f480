"""What the headers of a dataset say about Cartesian encoding, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from preimage.data import device_of, is_small, require, tensor
from preimage.errors import DataError
from preimage.space import Space
from preimage_mri.dims import COIL, IMAGE_DIM, comma, in_image_space, in_kspace, kspace_dims, names, without_coil

WHO = "cartesian-mri"


def spaces_of(dataset: xr.Dataset) -> tuple[Space, Space]:
    """Domain and codomain.

    The codomain is the measurement's. Where that is still to be simulated, it is k-space along all image
    dims of the sensitivities, or of the truth where there are none.

    Raises
    ------
    DataError : the variables do not fit together.
    """
    codomain = _codomain(dataset)
    dims = in_image_space(codomain.dims)
    sizes = dict(zip(dims, codomain.shape, strict=True))
    if "sensitivities" in dataset.variables:
        _check_sensitivities(dataset, sizes)
        dims = without_coil(dims)
    if "mask" in dataset.variables:
        _check_mask(dataset, codomain)
    return Space(dims, tuple(sizes[dim] for dim in dims), codomain.dtype), codomain


def _codomain(dataset: xr.Dataset) -> Space:
    if "measurement" not in dataset.variables:
        return _codomain_to_simulate(dataset)
    found = dataset["measurement"].variable
    dims = names(found.dims)
    twice = [dim for dim, image in IMAGE_DIM.items() if dim in dims and image in dims]
    if not kspace_dims(dims) or twice:
        what = f"both {twice[0]} and {IMAGE_DIM[twice[0]]}" if twice else "no dim in k-space"
        raise DataError(
            f"{WHO} needs a 'measurement' with dims such as coil, kz, ky, or coil, x, kz, ky where x is in image "
            f"space: it has {comma(dims)}, {what}. Name its dims in the loader's settings"
        )
    if found.dtype.kind not in "fc":
        raise DataError(f"{WHO} needs a complex 'measurement' ({comma(dims)}), or magnitudes: it is {found.dtype}")
    return _space(dims, found.shape, found.dtype)


def _codomain_to_simulate(dataset: xr.Dataset) -> Space:
    who = f"{WHO}, which has no 'measurement' yet,"
    truth = dataset.get("truth")
    if "sensitivities" in dataset.variables:
        found = dataset["sensitivities"]
        shared = [dim for dim in names(truth.dims) if dim not in found.dims] if truth is not None else []
        dims = (COIL, *shared, *without_coil(found.dims))
    else:
        require(dataset, "truth", who=who)
        found = dataset["truth"]
        dims = names(found.dims)
    if not kspace_dims(in_kspace(dims)):
        raise DataError(f"{who} needs a {found.name!r} with dims such as x, z, y: it has {comma(found.dims)}")
    return _space(in_kspace(dims), [dataset.sizes[dim] for dim in dims], found.dtype)


def _space(dims: tuple[str, ...], shape: Sequence[int], dtype: Any) -> Space:
    complex_dtype = np.result_type(dtype, np.complex64)
    return Space(dims, tuple(shape), torch.from_numpy(np.zeros((), complex_dtype)).dtype)


def _check_sensitivities(dataset: xr.Dataset, sizes: Mapping[str, int]) -> None:
    found = dataset["sensitivities"]
    described = f"'sensitivities' ({comma(found.dims)}, of lengths {comma(found.shape)})"
    needed = {COIL, *(dim for dim in sizes if dim in IMAGE_DIM.values())}
    if COIL not in sizes:
        raise DataError(
            f"{WHO}: there are {described}, and the measurement has no dim 'coil': name the dim of its coils in the "
            "loader's settings, or leave the sensitivities out"
        )
    if found.dtype.kind != "c":
        raise DataError(f"{WHO} needs complex {described}: they are {found.dtype}")
    strange = [dim for dim in names(found.dims) if dim not in sizes]
    missing = [dim for dim in sizes if dim in needed and dim not in found.dims]
    if strange or missing:
        raise DataError(
            f"{WHO} needs sensitivities with the dims {comma(sizes)}, those of the data in image space: "
            f"{described} {'have no ' + missing[0] if missing else 'have ' + strange[0] + ', which the data lack'}"
        )
    for dim, n in zip(names(found.dims), found.shape, strict=True):
        if n != sizes[dim]:
            raise DataError(
                f"{WHO}: {described} have length {n} along {dim!r}, the data have {sizes[dim]}: "
                "estimate them from these data with the preparation coil-sensitivities"
            )


def _check_mask(dataset: xr.Dataset, codomain: Space) -> None:
    found = dataset["mask"]
    described = f"'mask' ({comma(found.dims)}, of lengths {comma(found.shape)})"
    allowed = without_coil(codomain.dims)
    strange = [dim for dim in names(found.dims) if dim not in allowed]
    if strange:
        raise DataError(
            f"{WHO} needs a mask over some of {comma(allowed)}: {described} has {strange[0]!r}; "
            "the preparation sampling-mask makes one"
        )
    if found.dtype.kind != "b":
        raise DataError(f"{WHO} needs a mask of True where k-space was sampled: {described} is {found.dtype}")
    for dim, n in zip(names(found.dims), found.shape, strict=True):
        if n != codomain.sizes[dim]:
            raise DataError(f"{WHO}: {described} has length {n} along {dim!r}, the data have {codomain.sizes[dim]}")
    if is_small(dataset, "mask"):
        _check_not_empty(dataset)


def _check_not_empty(dataset: xr.Dataset) -> None:
    if not np.any(dataset["mask"].values):
        raise DataError(f"{WHO}: the mask ({comma(dataset['mask'].dims)}) is empty: nothing was measured")


def mask_of(dataset: xr.Dataset, codomain: Space) -> Tensor:
    """The mask with an axis for each dim of the codomain, of length 1 where it does not vary.

    Raises
    ------
    DataError : it is empty.
    """
    if "mask" not in dataset.variables:
        return torch.ones((1,) * codomain.ndim, dtype=torch.bool, device=device_of(dataset))
    _check_not_empty(dataset)
    found = dataset["mask"]
    varying = found.isel({dim: 0 for dim in found.dims if is_constant(found, str(dim))}, drop=True)
    return aligned(dataset.assign(mask=varying), "mask", codomain.dims)


def aligned(dataset: xr.Dataset, name: str, dims: Sequence[str]) -> Tensor:
    """A variable as a tensor with these dims; those that it lacks have length 1."""
    found = dataset[name]
    values = tensor(dataset, name, tuple(dim for dim in dims if dim in found.dims))
    return values.reshape([found.sizes.get(dim, 1) for dim in dims])


def is_constant(mask: xr.DataArray, dim: str) -> bool:
    """Whether the mask is the same at every index of a dim."""
    values = mask.transpose(dim, ...).values
    return bool((values == values[:1]).all())


def fully_sampled(dataset: xr.Dataset) -> tuple[str, ...]:
    """The k-space dims of a complex measurement along which all is sampled, leaving at least one out.

    Along a dim that the mask has it must be small, so that it may be looked at.
    """
    if "measurement" not in dataset.variables or dataset["measurement"].dtype.kind != "c":
        return ()
    dims = kspace_dims(dataset["measurement"].dims)
    if "mask" in dataset.variables:
        mask = dataset["mask"]
        small = is_small(dataset, "mask")
        full = tuple(dim for dim in dims if dim not in mask.dims or (small and is_constant(mask, dim)))
    else:
        full = dims
    return full[:-1] if full == dims else full
