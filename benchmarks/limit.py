"""The limit: what these problems cost when they are written by hand for one machine, without any platform.

Nothing here is shared with the platform or imported from it. What makes it fast: the readout is fully sampled, so
its transforms cancel and 2D ones are left; centring cancels, so only the mask is ever shifted; all coils of four
slices at a time go through everything while they are in the cache; everything else happens in place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from cases import CG_ITERATIONS, DAMPING, FISTA_ITERATIONS, LEVELS, WEIGHT, Run
from data import load
from torch import Tensor
from torch.fft import fft2, fftshift, ifft2, ifftshift

torch.set_grad_enabled(False)

SLICES = 4
PLANE = (-2, -1)
ROOT3 = math.sqrt(3)
CROSS = (2 - ROOT3) * 4 / 3
SCALE = (3 + ROOT3) / math.sqrt(32)


class Sense:
    """AᴴA and Aᴴ of an image (x, z, y), with the coils of a slice side by side: (x, coil, z, y)."""

    def __init__(self, folder: Path) -> None:
        self.sensitivities = read(folder, "sensitivities").transpose(0, 1).contiguous()
        mask = ifftshift(read(folder, "mask")).float()
        self.mask = torch.stack([mask, mask], -1)  # of real and imaginary part: real products are cheaper
        self.n_slices, _, *self.plane = self.sensitivities.shape

    def slabs(self) -> Iterator[slice]:
        for start in range(0, self.n_slices, SLICES):
            yield slice(start, start + SLICES)

    def normal(self, image: Tensor, slab: slice) -> Tensor:
        sensitivities = self.sensitivities[slab]
        kspace = fft2(sensitivities * image.unsqueeze(1))
        torch.view_as_real(kspace).mul_(self.mask)
        return ifft2(kspace).mul_(sensitivities.conj()).sum(1)

    def adjoint(self, hybrid: Tensor) -> Tensor:
        """Of data (x, coil, kz, ky), which are 0 where nothing was sampled."""
        image = torch.empty(self.n_slices, *self.plane, dtype=hybrid.dtype)
        for slab in self.slabs():
            coils = fftshift(ifft2(ifftshift(hybrid[slab], PLANE), norm="ortho"), PLANE)
            image[slab] = coils.mul_(self.sensitivities[slab].conj()).sum(1)
        return image

    def squared_norm(self) -> float:
        """‖A‖² is at most the largest energy of the coils."""
        return max(float(self.sensitivities[slab].abs().square_().sum(1).max()) for slab in self.slabs())


def read(folder: Path, name: str) -> Tensor:
    return torch.from_numpy(load(folder, name))


def read_hybrid(folder: Path) -> Tensor:
    return read(folder, "hybrid").transpose(0, 1).contiguous()


def inner(u: Tensor, v: Tensor) -> float:
    return torch.vdot(u.flatten(), v.flatten()).real.item()


def normal(folder: Path) -> Run:
    sense = Sense(folder)
    image = read(folder, "truth").to(torch.complex64)

    def run() -> Tensor:
        out = torch.empty_like(image)
        for slab in sense.slabs():
            out[slab] = sense.normal(image[slab], slab)
        return out

    return run


def cg_sense(folder: Path) -> Run:
    """Conjugate gradients, with all that happens to a slab done while it is in the cache."""
    sense, hybrid = Sense(folder), read_hybrid(folder)

    def run() -> Tensor:
        residual = sense.adjoint(hybrid)
        x, direction, curved = torch.zeros_like(residual), torch.zeros_like(residual), torch.empty_like(residual)
        norm2, share = inner(residual, residual), 0.0
        for _ in range(CG_ITERATIONS):
            for slab in sense.slabs():
                d = direction[slab].mul_(share).add_(residual[slab])
                curved[slab] = sense.normal(d, slab).add_(d, alpha=DAMPING)
            # One product over all, not one a slab: the threads of BLAS and those of torch would wait for each other.
            length, last = norm2 / inner(direction, curved), norm2
            x.add_(direction, alpha=length)
            residual.sub_(curved, alpha=length)
            norm2 = inner(residual, residual)
            share = norm2 / last
        return x

    return run


def l1_wavelet_fista(folder: Path) -> Run:
    sense, hybrid = Sense(folder), read_hybrid(folder)

    def run() -> Tensor:
        data = sense.adjoint(hybrid)
        x, ahead = torch.zeros_like(data), torch.zeros_like(data)
        step, t = 1 / sense.squared_norm(), 1.0
        for _ in range(FISTA_ITERATIONS):
            for slab in sense.slabs():
                a = ahead[slab]
                a.add_(sense.normal(a, slab).sub_(data[slab]), alpha=-step)
            shrink_wavelets_(ahead, step * WEIGHT, LEVELS)
            x, ahead = ahead, x
            following = (1 + math.sqrt(1 + 4 * t * t)) / 2
            ahead.lerp_(x, 1 + (t - 1) / following)  # x + (t − 1)/t₊ · (x − what it was)
            t = following
        return x

    return run


def shrink_wavelets_(w: Tensor, threshold: float, levels: int) -> None:
    """Ψᴴ soft(Ψw) in place, with periodic orthonormal db2 wavelets along all three dims, of even lengths.

    Coefficients stay interleaved. Real and imaginary parts are lifted as they lie, but along the last dim: even and
    odd samples are copied apart there.
    """
    for axis in (-3, -2):
        lift_(every_other(w, axis, 0), every_other(w, axis, 1), axis)
    coarse = w.new_empty([n // 2 for n in w.shape])
    for piece, approximation in zip(w.split(2 * SLICES), coarse.split(SLICES), strict=True):
        even, odd = piece[..., 0::2].contiguous(), piece[..., 1::2].contiguous()
        lift_(even, odd, -1)
        approximation.copy_(even[::2, ::2])
        piece[..., 0::2], piece[..., 1::2] = shrink_(even, threshold), shrink_(odd, threshold)
    if levels > 1:
        shrink_wavelets_(coarse, threshold, levels - 1)
    else:
        shrink_(coarse, threshold)
    for piece, approximation in zip(w.split(2 * SLICES), coarse.split(SLICES), strict=True):
        even, odd = piece[..., 0::2].contiguous(), piece[..., 1::2].contiguous()
        even[::2, ::2] = approximation
        unlift_(even, odd, -1)
        piece[..., 0::2], piece[..., 1::2] = even, odd
    for axis in (-2, -3):
        unlift_(every_other(w, axis, 0), every_other(w, axis, 1), axis)


def shrink_(w: Tensor, threshold: float) -> Tensor:
    """max(0, 1 − threshold/|w|) · w."""
    squares = torch.view_as_real(w).square()
    magnitude2 = squares[..., 0] + squares[..., 1]
    return w.mul_(magnitude2.clamp_min_(threshold**2).rsqrt_().mul_(-threshold).add_(1))


def every_other(w: Tensor, axis: int, first: int) -> Tensor:
    index: list[slice] = [slice(None)] * w.ndim
    index[axis] = slice(first, None, 2)
    return w[tuple(index)]


def lift_(even: Tensor, odd: Tensor, axis: int) -> None:
    """The lifting steps of db2: even samples become the approximation, odd ones the details."""
    a, d, axis = torch.view_as_real(even), torch.view_as_real(odd), axis - 1
    add_before_(a, d, axis, 1 / ROOT3)
    add_after_(d, a, axis, -ROOT3 / 4)
    a.add_(d, alpha=CROSS)
    d.sub_(a, alpha=3 / 16)
    a.mul_(SCALE)
    d.mul_(1 / SCALE)


def unlift_(even: Tensor, odd: Tensor, axis: int) -> None:
    a, d, axis = torch.view_as_real(even), torch.view_as_real(odd), axis - 1
    a.mul_(1 / SCALE)
    d.mul_(SCALE)
    d.add_(a, alpha=3 / 16)
    a.sub_(d, alpha=CROSS)
    add_after_(d, a, axis, ROOT3 / 4)
    add_before_(a, d, axis, -1 / ROOT3)


def add_before_(u: Tensor, v: Tensor, axis: int, factor: float) -> None:
    """u[i] += factor · v[i − 1], periodically."""
    n = u.shape[axis]
    u.narrow(axis, 1, n - 1).add_(v.narrow(axis, 0, n - 1), alpha=factor)
    u.narrow(axis, 0, 1).add_(v.narrow(axis, n - 1, 1), alpha=factor)


def add_after_(u: Tensor, v: Tensor, axis: int, factor: float) -> None:
    """u[i] += factor · v[i + 1], periodically."""
    n = u.shape[axis]
    u.narrow(axis, 0, n - 1).add_(v.narrow(axis, 1, n - 1), alpha=factor)
    u.narrow(axis, n - 1, 1).add_(v.narrow(axis, 0, 1), alpha=factor)
