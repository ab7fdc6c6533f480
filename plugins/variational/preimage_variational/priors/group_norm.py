"""Sums of the lengths of groups of numbers, their soft threshold and the projection that is its dual."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from preimage.movable import Movable
from preimage_variational.pieces import pieces


@dataclass(frozen=True)
class GroupNorm(Movable):
    """weight · Σ|w|, where |w| is the Euclidean length of a group of real or complex numbers.

    Attributes
    ----------
    weight : λ.
    axis : negative; along it lie the members of a group. Without one every number is a group of its own.
    """

    weight: float
    axis: int | None = None

    def value(self, w: Tensor) -> Tensor:
        """λ Σ|w|."""
        lengths = w.abs() if self.axis is None else torch.linalg.vector_norm(w, dim=self.axis)
        return self.weight * lengths.sum()

    def prox(self, w: Tensor, step: Any) -> Tensor:
        """Shorten groups by step · λ, to 0 at least; directions stay."""
        if torch.is_grad_enabled():
            return w * (1 - self._share(w, step * self.weight))
        return self.prox_(w.clone(), step)

    def prox_(self, w: Tensor, step: Any) -> Tensor:
        """The same, written over w. Records no gradient."""
        threshold = step * self.weight
        for piece in self._pieces(w, threshold):
            piece.mul_(self._share(piece, threshold).neg_().add_(1))
        return w

    def project(self, w: Tensor, radius: Any) -> Tensor:
        """The nearest w whose groups are no longer than the radius, a number or (*batch, 1, …, 1)."""
        if torch.is_grad_enabled():
            return w * self._share(w, radius)
        return self.project_(w.clone(), radius)

    def project_(self, w: Tensor, radius: Any) -> Tensor:
        """The same, written over w. Records no gradient."""
        for piece in self._pieces(w, radius):
            piece.mul_(self._share(piece, radius))
        return w

    def conjugate_prox(self, w: Tensor, step: Any) -> Tensor:
        """Prox of the conjugate, which is 0 where no group is longer than λ and ∞ elsewhere: whatever the step."""
        return self.project(w, self.weight)

    def conjugate_prox_(self, w: Tensor, step: Any) -> Tensor:
        """The same, written over w. Records no gradient."""
        return self.project_(w, self.weight)

    def _share(self, w: Tensor, length: Any) -> Tensor:
        """min(1, length/|w|) for each group, real; 1 where w is 0, with a gradient that is finite there too.

        Squares bound the units in which it is right: in single precision lengths of 1e-18 to 1e18; 0 counts as 1e-19.
        """
        smallest = math.sqrt(torch.finfo(w.dtype).tiny)
        if isinstance(length, Tensor):
            factor = length.clamp_min(smallest).square().reciprocal()
        else:
            factor = 1 / max(length, smallest) ** 2
        squared = self._squared(w)
        if torch.is_grad_enabled():
            return (squared * factor).clamp_min(1).rsqrt()
        return squared.mul_(factor).clamp_min_(1).rsqrt_()

    def _squared(self, w: Tensor) -> Tensor:
        """|w|², with the axis of the groups kept."""
        parts = torch.view_as_real(w) if w.is_complex() else w
        if self.axis is None:
            total = parts * parts
        else:
            first, *others = parts.unbind(self.axis - w.is_complex())
            total = first * first
            for other in others:
                total = total + other * other if torch.is_grad_enabled() else total.addcmul_(other, other)
        if w.is_complex():
            total = total[..., 0] + total[..., 1]
        return total if self.axis is None else total.unsqueeze(self.axis)

    def _pieces(self, w: Tensor, length: Any) -> tuple[Tensor, ...]:
        """Pieces that cut no group, along axes on which the length is one number."""
        axes = [axis for axis in range(-w.ndim, 0) if axis != self.axis]
        if isinstance(length, Tensor) and length.ndim:
            axes = [axis for axis in axes if -axis > length.ndim or length.shape[axis] == 1]
        return pieces(w, axes)
