"""Point spread functions: given by a dataset, Gaussian, or of a motion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preimage.errors import DataError
from preimage.space import Space
from preimage_imaging.headers import numpy_dtype

TRUNCATE = 4.0
"""A Gaussian reaches this many standard deviations."""


class Psf(Protocol):
    """A point spread function over some dims of an image."""

    def lengths(self) -> dict[str, int]:
        """Its length along each dim that it blurs, from headers."""
        ...

    def values(self, image: Space) -> NDArray[Any]:
        """Its values in the precision of the image, one axis for each of the image's dims."""
        ...


@dataclass(frozen=True)
class GivenPsf:
    """A variable of a dataset: along the blurred dim `x` it has the dim `psf_x`, others are the image's.

    Attributes
    ----------
    variable : real or complex, lazily opened.
    dims : the blurred dims.
    """

    variable: xr.Variable
    dims: tuple[str, ...]

    def lengths(self) -> dict[str, int]:
        """Its length along each dim that it blurs.

        Raises
        ------
        DataError : it lacks one of them.
        """
        names = {dim: f"psf_{dim}" for dim in self.dims}
        has = [str(dim) for dim in self.variable.dims]
        if not set(has).issuperset(names.values()):
            raise DataError(f"'psf' needs the dims {', '.join(names.values())}: it has {', '.join(has) or 'none'}")
        return {dim: self.variable.sizes[name] for dim, name in names.items()}

    def values(self, image: Space) -> NDArray[Any]:
        """Its values as they are: a psf with the sum s makes the image s times brighter.

        Raises
        ------
        DataError : it has other dims than the image, is complex for real images, zero, or not finite.
        """
        names = [f"psf_{dim}" if dim in self.dims else dim for dim in image.dims]
        strange = [str(dim) for dim in self.variable.dims if dim not in names]
        if strange:
            raise DataError(f"'psf' may have the dims {', '.join(names)}: it has {strange[0]!r}")
        found = self.variable.transpose(*(name for name in names if name in self.variable.dims)).values
        if found.dtype.kind == "c" and not image.is_complex:
            raise DataError(f"'psf' is complex, the images that it blurs are {image.dtype}: take its real part")
        if not np.isfinite(found).all() or not found.any():
            raise DataError("'psf' has values that are not finite, or is zero everywhere")
        precision = image.dtype if found.dtype.kind == "c" else image.dtype.to_real()
        shaped = found.reshape([self.variable.sizes.get(name, 1) for name in names])
        return np.ascontiguousarray(shaped, numpy_dtype(precision))


@dataclass(frozen=True)
class GaussianPsf:
    """A sampled Gaussian with the sum 1.

    Attributes
    ----------
    sigmas : standard deviation in pixels along each blurred dim.
    """

    sigmas: Mapping[str, float]

    def lengths(self) -> dict[str, int]:
        """Odd lengths that reach `TRUNCATE` standard deviations."""
        return {dim: 2 * _radius(sigma) + 1 for dim, sigma in self.sigmas.items()}

    def values(self, image: Space) -> NDArray[Any]:
        """The product of its profiles; one longer than a periodic image is folded, so that its size is bounded."""
        psf = np.ones((1,) * image.ndim)
        for dim, sigma in self.sigmas.items():
            reach = np.arange(-_radius(sigma), _radius(sigma) + 1)
            profile = np.exp(-0.5 * (reach / sigma) ** 2)
            profile /= profile.sum()
            n = image.sizes[dim]
            if profile.size > n:
                profile = np.bincount((reach + n // 2) % n, profile, n)
            psf = psf * profile.reshape([-1 if name == dim else 1 for name in image.dims])
        return psf.astype(numpy_dtype(image.dtype.to_real()))


def _radius(sigma: float) -> int:
    return int(TRUNCATE * sigma + 0.5)


@dataclass(frozen=True)
class MotionPsf:
    """A straight line of constant brightness with the sum 1.

    An image blurred by it is the mean over its shifts along the line, each interpolated linearly between pixels.

    Attributes
    ----------
    dims : the two dims of its plane.
    length : of the line in pixels.
    angle : of the line in degrees, from the second dim to the first.
    """

    dims: tuple[str, str]
    length: float
    angle: float

    def lengths(self) -> dict[str, int]:
        """Odd lengths that hold every pixel that the line comes closer to than one pixel."""
        return {dim: 2 * reach + 1 for dim, reach in zip(self.dims, self._reaches(), strict=True)}

    def values(self, image: Space) -> NDArray[Any]:
        """The integral over the line of the four weights of linear interpolation at its points.

        Between two points where the line crosses a row or a column of pixels each weight is a quadratic, which two
        points of Gauss's rule integrate exactly.
        """
        direction, reaches = self._direction(), self._reaches()
        crossings = [np.arange(-n, n + 1) / d for d, n in zip(direction, reaches, strict=True) if d]
        ends = self.length / 2
        cuts = np.unique(np.clip(np.concatenate([*crossings, [-ends, ends]]), -ends, ends))
        middle, half = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts) / 2
        along = np.concatenate([middle - half / math.sqrt(3), middle + half / math.sqrt(3)])
        share = np.concatenate([half, half]) / self.length
        points = along[:, None] * direction
        below = np.floor(points).astype(int)
        psf = np.zeros([2 * n + 1 for n in reaches])
        for corner in np.ndindex(2, 2):
            pixel = below + corner
            weight = share * (1 - np.abs(points - pixel)).prod(1)
            near = (np.abs(pixel) <= reaches).all(1)  # others lie a pixel from the line's end: their weight is 0
            np.add.at(psf, tuple((pixel + reaches)[near].T), weight[near])
        psf /= psf.sum()
        shape = [dict(zip(self.dims, psf.shape, strict=True)).get(dim, 1) for dim in image.dims]
        return psf.reshape(shape).astype(numpy_dtype(image.dtype.to_real()))

    def _direction(self) -> NDArray[np.float64]:
        """Of length 1; exactly along a dim where rounding alone is not."""
        turn = math.radians(self.angle)
        return np.round([math.sin(turn), math.cos(turn)], 12)

    def _reaches(self) -> list[int]:
        return [math.ceil(round(abs(d) * self.length / 2, 9)) for d in self._direction()]
