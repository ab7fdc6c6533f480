"""Sensitivity encoding at the limit.

The readout is fully sampled, so its transforms cancel and 2D ones are left; centring cancels, so only the mask is ever
shifted; all coils of a few slices at a time go through everything while they are in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from problems import load
from torch import Tensor
from torch.fft import fft2, fftshift, ifft2, ifftshift

SLAB = 2.4 * 2**20
"""Bytes of all coils of the slices that go through everything together."""
PLANE = (-2, -1)


class Sense:
    """AᴴA and Aᴴ of an image (x, z, y), with the coils of a slice side by side: (x, coil, z, y)."""

    def __init__(self, folder: Path) -> None:
        self.sensitivities = read(folder, "sensitivities").transpose(0, 1).contiguous()
        self.shape = self.sensitivities[:, 0].shape
        mask = ifftshift(read(folder, "mask")) / self.shape[1:].numel()
        # Of real and imaginary part: real products are cheaper. With the conjugate of k-space its transform is the
        # conjugate of the inverse, and no conjugate of the sensitivities is needed.
        self.conjugating_mask = torch.stack([mask, -mask], -1)

    def slabs(self, within: slice | None = None) -> Iterator[slice]:
        """Of all slices, or of some."""
        return slabs(within or slice(0, self.shape[0]), SLAB / self.sensitivities[0].nbytes)

    def normal(self, image: Tensor, slab: slice) -> Tensor:
        sensitivities = self.sensitivities[slab]
        kspace = fft2(sensitivities * image.unsqueeze(1))
        torch.view_as_real(kspace).mul_(self.conjugating_mask)
        return fft2(kspace).mul_(sensitivities).sum(1).conj_physical_()

    def adjoint(self, hybrid: Tensor) -> Tensor:
        """Of data (x, coil, kz, ky), which are 0 where nothing was sampled."""
        image = torch.empty(self.shape, dtype=hybrid.dtype)
        for slab in self.slabs():
            coils = fftshift(ifft2(ifftshift(hybrid[slab], PLANE), norm="ortho"), PLANE)
            image[slab] = coils.mul_(self.sensitivities[slab].conj()).sum(1)
        return image

    def squared_norm(self) -> float:
        """‖A‖² is at most the largest energy of the coils."""
        return max(float(self.sensitivities[slab].abs().square_().sum(1).max()) for slab in self.slabs())


def slabs(slices: slice, thickness: float) -> Iterator[slice]:
    whole = max(1, round(thickness))
    for start in range(slices.start, slices.stop, whole):
        yield slice(start, min(start + whole, slices.stop))


def read(folder: Path, name: str) -> Tensor:
    return torch.from_numpy(load(folder, name))


def read_hybrid(folder: Path) -> Tensor:
    return read(folder, "hybrid").transpose(0, 1).contiguous()


def inner(u: Tensor, v: Tensor) -> float:
    return torch.vdot(u.flatten(), v.flatten()).real.item()
