"""What a detector without a sense of phase sees of a linear map."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from preimage.errors import SpaceError
from preimage.operators import LinearOperator, Operator
from preimage.operators.base import Ambiguity
from preimage.space import Space
from preimage_optics.maps.magnitude import squared_magnitude
from preimage_optics.spectral import spectral_estimate


class Phaseless(Operator):
    """y = |B x|^power: amplitudes or intensities of a complex field.

    Where the field is 0 amplitudes have no derivative; 0 is taken, the subgradient of least norm.

    Parameters
    ----------
    linear : B, with complex values.
    power : 1 for amplitudes, 2 for intensities.
    ambiguity : what cannot be told apart beside the global phase of complex objects and the sign of real ones.

    References
    ----------
    Shechtman et al., Phase retrieval with application to optical imaging: a contemporary overview, 2015.
    Candès, Li & Soltanolkotabi, Phase retrieval from coded diffraction patterns, 2015.
    """

    domain: Space
    codomain: Space

    def __init__(self, linear: LinearOperator, power: Literal[1, 2] = 2, ambiguity: Ambiguity = frozenset()) -> None:
        domain, field = linear.domain, linear.codomain
        if not isinstance(domain, Space) or not isinstance(field, Space) or not field.is_complex:
            raise SpaceError(f"magnitudes are of one complex field, of one unknown: not of {field}, of {domain}")
        super().__init__(domain, field.real)
        self.linear = linear
        self.power = power
        self.ambiguity = ambiguity | {"phase" if domain.is_complex else "sign"}

    def _apply(self, x: Tensor) -> Tensor:
        return self._magnitude(self.linear(x))

    def pullback(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """|B x|^power, and w ↦ Bᴴ(s · w) with s = ∇|u|^power at the field u = B x."""
        field = self.linear(x)
        magnitude = self._magnitude(field)
        return magnitude, lambda w: self.linear.adjoint(self._slope_times(w, field, magnitude))

    def jvp(self, x: Tensor, v: Tensor) -> Tensor:
        """Re(s̄ · B v)."""
        along: Tensor = self._slope(self.linear(x)).conj() * self.linear(v)
        return along.real

    def initial(self, y: Tensor, seed: int = 0) -> Tensor:
        """A spectral estimate, scaled so that its patterns have the energy of the data."""
        intensity = self.codomain.check(y).clamp_min(0) ** (2 // self.power)
        return spectral_estimate(self.linear, intensity, seed)

    def _magnitude(self, field: Tensor) -> Tensor:
        """|u|^power. Roots of squares are several times faster than `abs`, but have no gradient at 0."""
        if self.power == 1:
            return field.abs() if torch.is_grad_enabled() else squared_magnitude(field).sqrt_()
        return squared_magnitude(field)

    def _slope_times(self, w: Tensor, field: Tensor, magnitude: Tensor) -> Tensor:
        """s · w, with the magnitude of u at hand."""
        if self.power == 2:
            return field * (2 * w)
        if torch.is_grad_enabled():
            return field.sgn() * w
        smallest = math.sqrt(torch.finfo(magnitude.dtype).tiny)  # whose square is not 0 yet
        share = magnitude.clamp_min(smallest).reciprocal_().mul_(w)
        return share.to(field.dtype).mul_(field)

    def _slope(self, field: Tensor) -> Tensor:
        """The derivative of |u|^power by the real and the imaginary part of u."""
        return field.sgn() if self.power == 1 else 2 * field
