"""Total variation: λ Σ|Dx|, small for images of flat regions with sharp edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import torch
import xarray as xr
from pydantic import Field, PositiveFloat
from torch import Tensor

import preimage
from preimage import Memory, halo, hookimpl, split
from preimage.declarations import Axis
from preimage.movable import Movable
from preimage.space import AnySpace, Space
from preimage_variational.dims import chosen_dims
from preimage_variational.pieces import PIECE
from preimage_variational.priors.group_norm import GroupNorm
from preimage_variational.transforms.differences import ALONG, Differences

WHO = "total-variation"


class Settings(preimage.Settings):
    """Along which dims the image varies little, and how much that counts."""

    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-3
    """λ against ½‖Ax − y‖², for data divided by the run's scale unless `compute.normalise` is false."""
    kind: Literal["isotropic", "anisotropic"] = "isotropic"
    """`isotropic` sums the lengths of gradients, whatever their direction; `anisotropic` sums differences along each
    dim apart, which favours edges that are parallel to the dims."""
    dims: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Dims along which differences are taken; along the others images are independent. All dims if not given."""
    spacing: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Length of a pixel along a dim, where pixels are longer along one than along another: differences are divided by
    it. 1 for a dim that is not named."""


class TotalVariation(Movable):
    """R(x) = λ Σ|Dx|, with D the differences to the next pixels, and none beyond the last.

    Magnitudes of complex differences count, so a global phase of x makes no difference. It has no prox in closed form.

    Parameters
    ----------
    differences : D.
    weight : λ.
    isotropic : whether the differences of a pixel count together, as the length of a gradient, or each for itself.

    References
    ----------
    Rudin, Osher & Fatemi, Nonlinear total variation based noise removal algorithms, 1992.
    """

    def __init__(self, differences: Differences, weight: float, *, isotropic: bool = True) -> None:
        self.differences = differences
        self.norm = GroupNorm(weight, differences.codomain.axis(ALONG) if isotropic else None)

    def value(self, x: Tensor) -> Tensor:
        """λ Σ|Dx|."""
        return self.norm.value(self.differences(x))

    def split(self) -> tuple[GroupNorm, Differences]:
        """λ Σ|·| and D."""
        return self.norm, self.differences


@hookimpl
def preimage_prior(settings: Settings, domain: AnySpace) -> TotalVariation:
    """The prior on one image."""
    space, dims = chosen_dims(domain, settings.dims, WHO)
    chosen_dims(domain, tuple(settings.spacing), f"{WHO}: spacing")
    differences = Differences(space, dims, settings.spacing)
    return TotalVariation(differences, settings.weight, isotropic=settings.kind == "isotropic")


@hookimpl
def preimage_axes(settings: Settings, domain: AnySpace) -> Mapping[str, Axis]:
    """Pixels depend on their neighbours along the dims of the differences."""
    space, dims = chosen_dims(domain, settings.dims, WHO)
    return {dim: halo(1) if dim in dims else split for dim in space.dims}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """What a solver keeps in place of Dx: an image for each direction, and as many of multipliers."""
    n_directions = len(settings.dims) if settings.dims else 3  # at most, but for films of volumes
    return Memory(per_image=2 * n_directions, workspace=4 * PIECE)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Space]]:
    """One to three dims, odd and size-one axes, real and complex, both kinds, dims left out, unequal spacing."""
    yield Settings(weight=0.3), Space(("z", "y", "x"), (3, 1, 5), torch.complex128)
    yield Settings(weight=0.3, kind="anisotropic"), Space(("y", "x"), (4, 7), torch.complex128)
    yield Settings(weight=0.5, dims=("z", "x"), spacing={"z": 2.5}), Space(("z", "y", "x"), (4, 3, 6), torch.float64)
    yield Settings(weight=1.0), Space(("x",), (9,), torch.float64)
