"""Laws of denoisers, generators and densities."""

from __future__ import annotations

import torch

from preimage.priors import Denoiser
from preimage.space import ProductSpace
from preimage.testing.comparing import DOUBLE, expect_close, length
from preimage.testing.examples import PriorExample
from preimage.testing.law import LawBroken, Laws, NotOffered

DENOISERS = Laws()

UNITS = 1e-10
"""Of denoise(c·x, c·σ) and c·denoise(x, σ): rounding, and its growth in a network."""
MOVED = 10.0
"""How far a denoiser may move x, in units of σ√n: about 1 is noise, a threshold of √(2 log n)·σ moves it by 4."""


@DENOISERS.each
@torch.no_grad()
def noiseless(example: PriorExample) -> None:
    """For σ → 0 a denoiser leaves x as it is."""
    denoiser, x = example.offered(Denoiser), example.x(1)
    for sigma in (1e-3, 1e-5):
        shift = length(denoiser.denoise(x, sigma) - x) / length(x)
        if not shift <= MOVED * sigma:
            raise LawBroken(
                f"denoise(x, {sigma}) moves x, whose size is about 1, by {shift / sigma:.2g} times the noise. "
                "Is σ taken in the units of x, and not of a range such as 0…255?"
            )


@DENOISERS.each
@torch.no_grad()
def units(example: PriorExample) -> None:
    """denoise(c·x, c·σ) = c·denoise(x, σ) where the denoiser says scale_equivariant = True."""
    denoiser, x = example.offered(Denoiser), example.x(1)
    if not example.claims("scale_equivariant", default=False):
        raise NotOffered("the denoiser does not say scale_equivariant = True")
    for factor in (0.1, 10.0):
        found, expected = denoiser.denoise(x * factor, 0.3 * factor), denoiser.denoise(x, 0.3) * factor
        expect_close(found, expected, f"denoise({factor}·x, {factor}·σ) and {factor}·denoise(x, σ)", tolerance=UNITS)


@DENOISERS.each
@torch.no_grad()
def noise_levels(example: PriorExample) -> None:
    """A noise level for each element of a batch gives what the elements give alone; more noise is removed from more."""
    denoiser, batch = example.offered(Denoiser), example.x(1, (2,))
    if isinstance(example.space, ProductSpace):
        raise NotOffered("noise levels of product spaces are numbers")
    sigmas = torch.tensor([0.1, 0.8], dtype=DOUBLE)
    together = denoiser.denoise(batch, sigmas.reshape(2, *[1] * example.space.ndim))
    alone = torch.stack([denoiser.denoise(x, float(sigma)) for x, sigma in zip(batch, sigmas, strict=True)])
    expect_close(together, alone, "denoise with σ (*batch, 1, …, 1) and one by one", tolerance=UNITS)
    x = batch[0]
    if length(denoiser.denoise(x, 0.1) - denoiser.denoise(x, 0.8)) == 0:
        raise LawBroken("denoise(x, 0.1) and denoise(x, 0.8) are equal: σ is not used")
