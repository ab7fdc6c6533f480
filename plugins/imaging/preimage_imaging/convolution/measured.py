"""What the headers of blurred data say of the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import xarray as xr

from preimage.errors import DataError
from preimage.space import Space
from preimage_imaging.convolution.images import MEASURED
from preimage_imaging.headers import image_space, require_dims

Boundary = Literal["periodic", "valid"]


def blurred_image(
    dataset: xr.Dataset,
    who: str,
    asked: tuple[str, ...] | None,
    boundary: Boundary,
    kernel: Callable[[tuple[str, ...]], Mapping[str, int]],
) -> tuple[Space, tuple[str, ...]]:
    """The image's space, and the dims that are blurred, in its order.

    Parameters
    ----------
    who : named in errors as the one who needs it.
    asked : the dims that are blurred; the image's last two where nobody says.
    kernel : returns the length of the psf along each of these dims.

    Raises
    ------
    DataError : there is no image, or no dim to blur, or the data of a valid blur have other dims than they should.
    """
    data = image_space(dataset, who)
    shorter = boundary == "valid" and "measurement" in dataset.variables
    names = tuple(dim.removesuffix(MEASURED) for dim in data.dims) if shorter else data.dims
    image = Space(names, data.shape, data.dtype)
    dims = names[-2:] if asked is None else require_dims(asked, image, f"{who}: dims")
    if not dims:
        raise DataError(f"{who} has no dim to blur: the image's dims are {', '.join(names) or 'none'}")
    lengths = kernel(dims)
    if not shorter:
        return image, dims
    expected = tuple(dim + MEASURED if dim in dims else dim for dim in names)
    if data.dims != expected:
        raise DataError(
            f"{who}: the data of a valid blur are shorter than the image, so 'measurement' has the dims "
            f"{', '.join(expected)}: it has {', '.join(data.dims)}; rename them"
        )
    return Space(names, tuple(n + lengths.get(dim, 1) - 1 for dim, n in image.sizes.items()), data.dtype), dims
