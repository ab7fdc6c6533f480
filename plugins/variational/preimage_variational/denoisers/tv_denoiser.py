"""Total-variation denoising, of a strength that follows the noise level."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import torch
import xarray as xr
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

import preimage
from preimage import Memory, hookimpl, split, whole
from preimage.declarations import Axis
from preimage.movable import Movable
from preimage.space import AnySpace, Space
from preimage_variational.dims import chosen_dims
from preimage_variational.owned import owned_add_adjoint, owned_add_applied, owned_copy, owned_lerp
from preimage_variational.pieces import PIECE
from preimage_variational.priors.total_variation import TotalVariation
from preimage_variational.transforms.differences import Differences

WHO = "tv-denoiser"


class Settings(preimage.Settings):
    """Along which dims images vary little, how much noise is taken away, and how accurately."""

    strength: PositiveFloat = 0.8
    """λ/σ. A weight in proportion to σ is the only one with which units do not matter. On photographs the mean squared
    error is least between 0.5 (σ of 3 % of the range) and 1 (30 %); from about 1.1 what is removed is as strong as the
    noise."""
    iterations: PositiveInt = 30
    """Iterations of the dual problem, from 0 every time: a result depends on the image and σ alone."""
    kind: Literal["isotropic", "anisotropic"] = "isotropic"
    """`isotropic` sums the lengths of gradients, whatever their direction; `anisotropic` sums differences along each
    dim apart, which favours edges that are parallel to the dims."""
    dims: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Dims along which differences are taken; along the others images are independent. All dims if not given."""
    spacing: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Length of a pixel along a dim, by which its differences are divided; 1 for a dim that is not named."""


class TvDenoiser(Movable):
    """D(x, σ) = argmin over z of ½‖z − x‖² + strength · σ · TV(z), nearly: by accelerated steps on the dual problem.

    Real and complex images; σ² is the variance of a complex number as well.

    Parameters
    ----------
    variation : TV, with its weight the strength.
    n_iterations : on the dual problem; the distance of the objective from its least falls with their square.

    References
    ----------
    Rudin, Osher & Fatemi, Nonlinear total variation based noise removal algorithms, 1992. The iteration: Beck &
    Teboulle, Fast gradient-based algorithms for constrained total variation image denoising and deblurring problems,
    2009.
    """

    scale_equivariant = True

    def __init__(self, variation: TotalVariation, n_iterations: int) -> None:
        self.variation = variation
        self.n_iterations = n_iterations

    def denoise(self, x: Tensor, sigma: Any) -> Tensor:
        """The denoised x, for a σ that is a number or (*batch, 1, …, 1)."""
        norm, differences = self.variation.split()
        project = norm.project if torch.is_grad_enabled() else norm.project_
        radius = norm.weight * _beside(sigma, differences.domain)
        size = 1 / (differences.norm().safe ** 2 or 1.0)
        dual = x.new_zeros((*differences.domain.batch(x), *differences.codomain.shape))
        ahead, estimate, momentum = dual.clone(), x.clone(), 1.0
        for _ in range(self.n_iterations):
            estimate = owned_add_adjoint(owned_copy(estimate, x), differences, ahead, -1.0)
            raised = project(owned_add_applied(ahead, differences, estimate, size), radius)
            following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            ahead = owned_lerp(dual, raised, 1 + (momentum - 1) / following)
            dual, momentum = raised, following
        return owned_add_adjoint(owned_copy(estimate, x), differences, dual, -1.0)  # type: ignore[no-any-return]


def _beside(sigma: Any, space: Space) -> Any:
    """A σ for each element of a batch, so that it broadcasts against their differences."""
    return sigma.unsqueeze(-space.ndim - 1) if isinstance(sigma, Tensor) and sigma.ndim > space.ndim else sigma


@hookimpl
def preimage_prior(settings: Settings, domain: AnySpace) -> TvDenoiser:
    """The denoiser of one image."""
    space, dims = chosen_dims(domain, settings.dims, WHO)
    chosen_dims(domain, tuple(settings.spacing), f"{WHO}: spacing")
    differences = Differences(space, dims, settings.spacing)
    variation = TotalVariation(differences, settings.strength, isotropic=settings.kind == "isotropic")
    return TvDenoiser(variation, settings.iterations)


@hookimpl
def preimage_axes(settings: Settings, domain: AnySpace) -> Mapping[str, Axis]:
    """Pixels depend on all others along the dims of the differences."""
    space, dims = chosen_dims(domain, settings.dims, WHO)
    return {dim: whole if dim in dims else split for dim in space.dims}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The estimate, and two multipliers, each an image for every direction."""
    n_directions = len(settings.dims) if settings.dims else 3  # at most, but for films of volumes
    return Memory(per_image=1 + 2 * n_directions, workspace=4 * PIECE)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Space]]:
    """Odd and size-one axes, real and complex, both kinds, a dim that is left out, unequal spacing."""
    yield Settings(), Space(("z", "y", "x"), (3, 1, 5), torch.complex128)
    yield Settings(kind="anisotropic", strength=0.5), Space(("y", "x"), (4, 7), torch.float64)
    yield Settings(dims=("z", "x"), spacing={"z": 2.5}), Space(("z", "y", "x"), (4, 3, 6), torch.complex128)
