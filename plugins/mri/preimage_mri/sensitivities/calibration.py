"""The calibration region: the fully sampled centre of k-space, as the mask or the settings say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from preimage.data import is_small
from preimage.errors import DataError
from preimage_mri.dims import comma, kspace_dims, names
from preimage_mri.encoding.headers import fully_sampled
from preimage_mri.fourier import centred_slice
from preimage_mri.sampling.centre import centre_box


def calibration_lengths(dataset: xr.Dataset, asked: Mapping[str, int], who: str) -> dict[str, int]:
    """Length of the centre along each dim of k-space that is not fully sampled, or that is asked for.

    Parameters
    ----------
    asked : lengths along some dims; along the others the mask decides.

    Raises
    ------
    DataError : there is no such dim, the centre is not fully sampled, or the mask may not be looked at.
    """
    found = dataset["measurement"]
    dims = kspace_dims(found.dims)
    strange = [dim for dim, n in asked.items() if dim not in dims or n > found.sizes[dim]]
    if strange:
        sizes = ", ".join(f"{dim} of length {found.sizes[dim]}" for dim in dims) or "no dim"
        raise DataError(f"{who}: calibration = {dict(asked)}, and the measurement has {sizes} in k-space")
    lengths = {dim: found.sizes[dim] for dim in dims if dim not in fully_sampled(dataset)} | dict(asked)
    if "mask" not in dataset.variables:
        return lengths
    if not is_small(dataset, "mask"):
        if any(dim not in asked for dim in lengths):
            raise DataError(f"{who}: mark the mask as small, or give calibration for {comma(lengths)}")
        return lengths
    free = [dim for dim in lengths if dim not in asked and dim in dataset["mask"].dims]
    return lengths | _box(dataset["mask"], asked, free, who)


def _box(mask: xr.DataArray, asked: Mapping[str, int], free: list[str], who: str) -> dict[str, int]:
    """Lengths along free dims of the largest box that the mask samples fully and that has the lengths asked for."""
    inside = mask.isel({dim: centred_slice(n, mask.sizes[dim]) for dim, n in asked.items() if dim in mask.dims})
    inside = inside.all([dim for dim in names(mask.dims) if dim not in free])
    box = centre_box(np.asarray(inside.transpose(*free).values))
    if not (all(box) if free else bool(inside)):
        where = f"calibration = {dict(asked)}" if asked else "the centre of k-space"
        raise DataError(
            f"{who}: {where} is not fully sampled: sensitivities need a fully sampled centre, such as "
            "sampling-mask with centre = { kz = 16, ky = 8 } leaves; choose a smaller calibration, or another mask"
        )
    return dict(zip(free, box, strict=True))
