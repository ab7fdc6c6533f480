"""Models of a measurement: the linear map that each makes of a block, and what headers tell of it before."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, MutableMapping
from dataclasses import dataclass
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from preimage.data import device_of, tensor
from preimage.errors import DataError
from preimage.space import Space, same_field
from preimage_optics.maps.diffraction import PATTERN, Diffraction, diffracted_space
from preimage_optics.maps.drawn import gaussian_matrix, octanary_modulation
from preimage_optics.maps.gaussian import GaussianMap, projected_space

KEPT = "operator phase-retrieval"
LARGEST_MATRIX = 2**26
"""Entries of a Gaussian matrix: a gigabyte in double precision."""


@dataclass(frozen=True)
class Patterns:
    """Diffraction patterns of the object, under masks or without.

    Attributes
    ----------
    dims : diffracted dims, in the object's order.
    lengths : of a pattern along them.
    masks : shape of the modulation, (pattern, *dims) or (*dims).
    seed : of masks that are drawn; None for those of the dataset, and where there are none.
    """

    domain: Space
    dims: tuple[str, ...]
    lengths: tuple[int, ...]
    masks: tuple[int, ...]
    seed: int | None

    @property
    def field(self) -> Space:
        """With `ky` in the place of `y`."""
        return diffracted_space(self.domain, self.dims, self.masks[: -len(self.dims)], self.lengths)

    @property
    def n_held(self) -> int:
        """The masks, and the ramp that centres the patterns."""
        return math.prod(self.masks) + math.prod(self.domain.sizes[dim] for dim in self.dims)

    def linear(self, dataset: xr.Dataset, shared: MutableMapping[str, Any]) -> Diffraction:
        """Diffraction under the dataset's masks, under drawn ones, or under none."""
        return Diffraction(self.domain, self.dims, self._modulation(dataset, shared), self.lengths)

    def _modulation(self, dataset: xr.Dataset, shared: MutableMapping[str, Any]) -> Tensor:
        if self.seed is not None:
            seed = self.seed
            return _kept(self, dataset, shared, lambda: octanary_modulation(self.masks, seed))
        if "modulation" in dataset.variables:
            patterns = (PATTERN,) if len(self.masks) > len(self.dims) else ()
            return tensor(dataset, "modulation", (*patterns, *self.dims))
        return torch.ones(self.masks, dtype=self.domain.dtype.to_real(), device=device_of(dataset))


@dataclass(frozen=True)
class Projections:
    """Projections of the object on random vectors.

    Attributes
    ----------
    dims : dims that are projected, in the object's order.
    n_samples : how many vectors there are.
    """

    domain: Space
    dims: tuple[str, ...]
    n_samples: int
    seed: int

    @property
    def field(self) -> Space:
        """With `sample` in the place of the projected dims."""
        return projected_space(self.domain, self.dims, self.n_samples)

    @property
    def n_held(self) -> int:
        """The matrix."""
        return self.n_samples * self._n_pixels

    def linear(self, dataset: xr.Dataset, shared: MutableMapping[str, Any]) -> GaussianMap:
        """The projections.

        Raises
        ------
        DataError : the matrix would be too large.
        """
        if self.n_held > LARGEST_MATRIX:
            raise DataError(
                f"a gaussian matrix of {self.n_samples} samples by {self._n_pixels} pixels has more than "
                f"{LARGEST_MATRIX} entries: it is for small objects; use coded-diffraction"
            )
        matrix = _kept(self, dataset, shared, lambda: gaussian_matrix(self.n_samples, self._n_pixels, self.seed))
        return GaussianMap(self.domain, self.dims, matrix)

    @property
    def _n_pixels(self) -> int:
        return math.prod(self.domain.sizes[dim] for dim in self.dims)


def _kept(
    model: Patterns | Projections, dataset: xr.Dataset, shared: MutableMapping[str, Any], draw: Callable[[], Tensor]
) -> Tensor:
    """What is drawn for a model on the device of a block, kept for the next one; dims that split change nothing."""
    sizes = tuple(model.domain.sizes[dim] for dim in model.dims)
    drawn = model.masks if isinstance(model, Patterns) else (model.n_samples,)
    key: Hashable = (type(model), model.seed, drawn, sizes, model.domain.dtype, str(device_of(dataset)))
    known, value = shared.get(KEPT, (None, None))
    if known != key:
        complex_values = draw()
        dtype = same_field(complex_values.dtype, model.domain.dtype)
        value = complex_values.to(device=device_of(dataset), dtype=dtype)
        shared[KEPT] = (key, value)
    return value  # type: ignore[no-any-return]
