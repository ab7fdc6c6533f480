"""Phase retrieval at the limit.

The patterns are shifted once, so that their transforms need not be centred; all of them are transformed by one call,
and everything else is done in place, in the same two arrays every time.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from cases import SPECTRAL_ITERATIONS, Case, Run
from torch import Tensor
from torch.fft import fft2, ifft2, ifftshift

from implementations.limit.sense import read

PLANE = (-2, -1)
TINY = torch.finfo(torch.float32).tiny


class Coded:
    """B of an object, and Bᴴ, with two arrays of the size of the field to work in."""

    def __init__(self, folder: Path) -> None:
        self.modulation = read(folder, "modulation")
        squares = torch.view_as_real(self.modulation).square()
        self.energy = squares.sum((0, -1))

    def field(self, x: Tensor, into: Tensor, spare: Tensor) -> Tensor:
        torch.mul(self.modulation, x, out=spare)
        return fft2(spare, norm="ortho", out=into)

    def back(self, field: Tensor, spare: Tensor) -> Tensor:
        """Conjugates are of what is there already, not of copies of the modulation."""
        coded = ifft2(field, norm="ortho", out=spare).conj_physical_().mul_(self.modulation)
        return coded.sum(0).conj_physical_()


def phase_retrieval(folder: Path, case: Case) -> Run:
    """Gradient descent on ½‖|Bx| − y‖², with steps after Malitsky & Mishchenko, from a spectral estimate."""
    coded = Coded(folder)
    amplitudes = ifftshift(read(folder, "amplitudes"), PLANE).contiguous()

    @torch.no_grad()
    def run() -> Tensor:
        field, spare = torch.empty_like(coded.modulation), torch.empty_like(coded.modulation)
        share = torch.empty_like(amplitudes)
        x = spectral(coded, amplitudes, field, spare)
        before, last2, length, growth = None, 0.0, 1 / float(coded.energy.max()), math.inf
        for _ in range(case.iterations):
            coded.field(x, field, spare)
            parts, squares = torch.view_as_real(field), torch.view_as_real(spare)
            torch.mul(parts, parts, out=squares)
            torch.add(squares[..., 0], squares[..., 1], out=share)
            share.clamp_min_(TINY).rsqrt_().mul_(amplitudes).neg_().add_(1)
            gradient = coded.back(field.mul_(share), spare)  # of u − y · u/|u|
            size2 = norm2(gradient)
            if before is not None:
                change2 = norm2(before.sub_(gradient))
                factor = min(math.sqrt(1 + growth), 0.5 * math.sqrt(last2 / change2))
                length, growth = length * factor, factor
            x.sub_(gradient, alpha=length)
            before, last2 = gradient, size2
        return x

    return run


def spectral(coded: Coded, amplitudes: Tensor, field: Tensor, spare: Tensor) -> Tensor:
    """The leading eigenvector of B⁺ T B with T = y²/(y² + mean y²), scaled to the energy of the data."""
    intensity = amplitudes.square()
    weight = intensity / (intensity + intensity.mean())
    shape, dtype = coded.energy.shape, coded.modulation.dtype
    x = torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    for _ in range(SPECTRAL_ITERATIONS):
        x = coded.back(coded.field(x, field, spare).mul_(weight), spare).div_(coded.energy)
        x.div_(math.sqrt(norm2(x)))
    energy = float((coded.energy * (x * x.conj()).real).sum())
    return x.mul_(math.sqrt(float(intensity.sum()) / energy))


def norm2(x: Tensor) -> float:
    return torch.vdot(x.flatten(), x.flatten()).real.item()
