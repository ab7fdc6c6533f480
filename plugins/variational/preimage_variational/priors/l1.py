"""The ℓ1 norm and its soft threshold, of real or complex coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from preimage.movable import Movable
from preimage_variational.pieces import pieces


@dataclass(frozen=True)
class L1Norm(Movable):
    """weight · Σ|w|, but for coefficients that are spared.

    Attributes
    ----------
    weight : λ.
    spared : an index of the last dims of w, of coefficients that do not count; None if all count.
    """

    weight: float
    spared: tuple[slice, ...] | None = None

    def value(self, w: Tensor) -> Tensor:
        """λ Σ|w|."""
        magnitude = w.abs()
        return self.weight * (magnitude if self.spared is None else magnitude * self._counts(magnitude)).sum()

    def prox(self, w: Tensor, step: Any) -> Tensor:
        """Shrink magnitudes by step · λ, to 0 at least; phases stay."""
        if not torch.is_grad_enabled():
            return self.prox_(w.clone(), step)
        shrunk = w * _shrinkage(w, step * self.weight)
        return shrunk if self.spared is None else torch.where(self._counts(w) > 0, shrunk, w)

    def prox_(self, w: Tensor, step: Any) -> Tensor:
        """The same, written over w. Records no gradient."""
        threshold = step * self.weight
        kept = None if self.spared is None else w[self._spared].clone()
        for piece in pieces(w, _alike(w, threshold)):
            piece.mul_(_shrinkage(piece, threshold))
        if kept is not None:
            w[self._spared] = kept
        return w

    def _counts(self, like: Tensor) -> Tensor:
        """1 where a coefficient counts, 0 where it is spared."""
        counts = torch.ones(like.shape, dtype=like.dtype.to_real(), device=like.device)
        if self.spared is not None:
            counts[self._spared] = 0
        return counts

    @property
    def _spared(self) -> Any:
        """The index, whatever the batch."""
        return (..., *(self.spared or ()))


def _shrinkage(w: Tensor, threshold: Any) -> Tensor:
    """max(0, 1 − threshold/|w|), real; 0 where w is 0, with a gradient that is finite there too.

    Squares are of |w|/threshold: where they over- or underflow, the result is 1 or 0 anyway, whatever the units.
    """
    smallest = torch.finfo(w.dtype).tiny
    if isinstance(threshold, Tensor):
        factor = 1 / threshold.clamp_min(smallest)
    else:
        factor = 1 / max(threshold, smallest)
    if not w.is_complex():
        square = (w * factor).square()
    else:
        parts = torch.view_as_real(w) * (factor.unsqueeze(-1) if isinstance(factor, Tensor) else factor)
        parts = parts * parts
        square = parts[..., 0] + parts[..., 1]
    return 1 - square.clamp_min(1).rsqrt()


def _alike(w: Tensor, threshold: Any) -> list[int]:
    """Axes along which the threshold is one number."""
    if isinstance(threshold, Tensor) and threshold.ndim:
        return [axis for axis in range(-w.ndim, 0) if -axis > threshold.ndim or threshold.shape[axis] == 1]
    return list(range(-w.ndim, 0))
