"""Spectral initialisation: an estimate of an object from the magnitudes of a linear map."""

from __future__ import annotations

import torch
from torch import Tensor

from preimage.errors import SpaceError
from preimage.offers import offers
from preimage.operators import LinearOperator, PseudoInvertible
from preimage.randomness import Seed, derive_seed
from preimage.space import Space, safe_divide
from preimage_optics.maps.magnitude import squared_magnitude

N_ITERATIONS = 50


@torch.no_grad()
def spectral_estimate(linear: LinearOperator, intensity: Tensor, seed: int) -> Tensor:
    """The leading eigenvector of B⁺ T(y) B, scaled to the energy of the data: ‖B x‖² = Σy.

    T(y) = y/(y + mean y) is a bounded form of the preprocessing 1 − mean/y, which is optimal. Where B has no
    pseudo-inverse at hand, Bᴴ stands for B⁺. Along dims that B leaves alone, every index is a problem of its own.

    Parameters
    ----------
    linear : B.
    intensity : y = |B x|² ≥ 0, (*batch, *codomain).
    seed : key of the random vector from which the power iteration starts, another one for each element of a batch.

    References
    ----------
    Luo, Alghamdi & Lu, Optimal spectral initialization for signal recovery with applications to phase retrieval, 2019.
    With the pseudo-inverse, for maps that are not a matrix of independent numbers: Ma, Dudeja, Xu, Maleki & Wang,
    Spectral method for phase retrieval: an expectation propagation perspective, 2021.
    """
    domain, codomain = linear.domain, linear.codomain
    assert isinstance(domain, Space)
    assert isinstance(codomain, Space)
    pixels, samples = _own_axes(domain, codomain), _own_axes(codomain, domain)
    batch = codomain.batch(intensity)
    invertible = offers(linear, PseudoInvertible)
    back = linear.adjoint if invertible is None else invertible.pinv
    weight = safe_divide(intensity, intensity + (intensity.mean(samples, keepdim=True) if samples else intensity))
    weight = weight.to(codomain.dtype)  # once, not in every product
    x, _ = Seed(derive_seed(seed, "spectral")).normal(domain, batch, intensity.device)
    for _ in range(N_ITERATIONS):
        x = back(linear(x).mul_(weight))  # should it be x itself, that is not needed again
        x = safe_divide(x, squared_magnitude(x, pixels, keepdim=True).sqrt())
    scale = safe_divide(_sum(intensity, samples), squared_magnitude(linear(x), samples)).sqrt()
    each = (1 if axis - domain.ndim in pixels else n for axis, n in enumerate(domain.shape))
    scaled: Tensor = x * scale.reshape(*batch, *each)
    return scaled


def _sum(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Over no axes x itself, where torch sums over all."""
    return x.sum(axes) if axes else x


def _own_axes(space: Space, other: Space) -> tuple[int, ...]:
    """The axes of the dims that the other space does not have.

    Raises
    ------
    SpaceError : those that it has are in another order.
    """
    shared = [dim for dim in space.dims if dim in other.dims]
    if shared != [dim for dim in other.dims if dim in space.dims]:
        raise SpaceError(f"the dims that object and data share are in one order, not {space.dims} and {other.dims}")
    return tuple(space.axis(dim) for dim in space.dims if dim not in other.dims)
