"""Line integrals through slices by Joseph's method, and their exact adjoint."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from preimage.operators import LinearOperator, Norm
from preimage.space import Space
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

MARGIN = 2
"""Zeros at either end of a row, which are read where a ray or a pixel lies outside."""
PIECE = 2**17
"""Weights of the adjoint that are computed at once: enough to keep a core busy, few enough to stay in its cache."""
N_REFINED = 3
"""Applications of AᵀA after which the bound of the norm is within 1 % of it."""


class ParallelBeam(LinearOperator):
    """y[angle, k] = ∫ x along the line x cos θ + y sin θ = k − centre.

    Lengths are in pixels, x and y from the middle of the slice. A line is followed along the axis to which it is
    closer, and the slice is interpolated linearly along the other. So a pixel that is projected to t weighs
    max(0, 1 − |k − t|/m) / m in ray k, with m = max(|cos θ|, |sin θ|). Forward gathers for every ray two pixels of
    each row or column, the adjoint for every pixel the two rays of each angle that see it. Both are deterministic,
    and compute weights when they need them, which takes no longer than to read them from a sparse matrix.

    Parameters
    ----------
    domain : real, (..., y, x), square slices.
    codomain : real, (..., angle, detector).
    angles : θ in radians.
    centre : where the axis of rotation is seen, in pixels from the middle of the detector's first one.
    pixel_size : of the detector and of the slices; line integrals are in its unit.

    References
    ----------
    Joseph, An improved algorithm for reprojecting rays through pixel images, IEEE Trans. Med. Imaging 1, 1982.
    """

    domain: Space
    codomain: Space

    def __init__(
        self, domain: Space, codomain: Space, angles: Sequence[float], centre: float, pixel_size: float = 1.0
    ) -> None:
        super().__init__(domain, codomain)
        self.directions = tuple((math.cos(angle), math.sin(angle)) for angle in angles)
        self.centre = centre
        self.pixel_size = pixel_size

    def _apply(self, x: Tensor) -> Tensor:
        n, n_pixels = x.shape[-1], self.codomain.shape[-1]
        slices = _stack(x)
        rows, columns = _table(slices), _table(slices.mT)
        rays = torch.arange(n_pixels, dtype=x.dtype, device=x.device) - self.centre
        lines = torch.arange(n, dtype=x.dtype, device=x.device) - (n - 1) / 2
        starts = _starts(n, n, x.device)
        y = x.new_empty(n_pixels, len(self.directions), len(slices))
        for i, (cosine, sine) in enumerate(self.directions):
            across, along, table = (cosine, sine, rows) if abs(cosine) >= abs(sine) else (sine, cosine, columns)
            place = (rays / across)[:, None] + ((n - 1) / 2 - lines * (along / across))
            first = place.clamp_(-1, n).floor()
            share = place.sub_(first)
            y[:, i] = _gather(table, first.int() + starts, 1 - share, share) * (self.pixel_size / abs(across))
        return y.permute(2, 1, 0).reshape(*x.shape[:-2], *self.codomain.shape[-2:])

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        n, n_pixels = self.domain.shape[-1], y.shape[-1]
        slices = _stack(y)
        table = _table(slices)
        cosine, sine = torch.tensor(self.directions, dtype=y.dtype, device=y.device).unbind(-1)
        width = torch.maximum(cosine.abs(), sine.abs())
        apart, scale = 1 / width, self.pixel_size / width
        lines = torch.arange(n, dtype=y.dtype, device=y.device)[:, None] - (n - 1) / 2
        along_rows, along_columns = lines * cosine, lines * sine + self.centre
        starts = _starts(len(width), n_pixels, y.device)
        x = y.new_empty(n, n, len(slices))
        n_rows = max(PIECE // (n * len(width)), 1)
        for row in range(0, n, n_rows):
            seen = along_rows + along_columns[row : row + n_rows, None]
            first = (seen - width).floor_().add_(1)  # of the rays that are nearer than the width
            distance = (first - seen).mul_(apart)
            index = first.clamp_(-MARGIN, n_pixels).int() + starts
            near = (1 - distance.abs()).mul_(scale)
            far = distance.add_(apart).abs_().neg_().add_(1).clamp_(min=0).mul_(scale)
            pixels = _gather(table, *(part.flatten(0, 1) for part in (index, near, far)))
            x[row : row + n_rows] = pixels.reshape(-1, n, len(slices))
        return x.permute(2, 0, 1).reshape(*y.shape[:-2], n, n)

    def _bound(self) -> Norm:
        """By Collatz and Wielandt: no entry of AᵀA is negative, so ‖A‖² ≤ max (AᵀA v) / v for any v > 0.

        All slices have one norm.
        """
        before = v = torch.ones(self.domain.shape[-2:], dtype=torch.float64)
        for _ in range(N_REFINED):
            before = v / v.max().clamp_min(torch.finfo(v.dtype).tiny)
            v = self._apply_normal(before)
        seen = before > 0
        ratio = torch.where(seen, v / torch.where(seen, before, 1), 0).max()
        return Norm(math.sqrt(ratio), "upper")


def _stack(x: Tensor) -> Tensor:
    """All slices of all batches, (slice, row, column)."""
    return x.reshape(-1, *x.shape[-2:])


def _table(slices: Tensor) -> Tensor:
    """One row for each pixel, with its value in all slices; rows of pixels have margins.

    A copy whatever the strides: those of a single slice's transpose pass for contiguous, and take twice as long.
    """
    return pad(slices, (MARGIN, MARGIN)).flatten(1).T.clone(memory_format=torch.contiguous_format)


def _starts(n_rows: int, length: int, device: torch.device) -> Tensor:
    """Where in a table rows begin, behind their margin."""
    return torch.arange(n_rows, dtype=torch.int32, device=device) * (length + 2 * MARGIN) + MARGIN


def _gather(table: Tensor, index: Tensor, weight: Tensor, next_weight: Tensor) -> Tensor:
    """Σ over the last axis of index: weight · table[index] + next_weight · table[index + 1]."""
    here = embedding_bag(index, table, mode="sum", per_sample_weights=weight)
    there = embedding_bag(index, table[1:], mode="sum", per_sample_weights=next_weight)
    return here.add_(there)
