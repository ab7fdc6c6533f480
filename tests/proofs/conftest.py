"""A Gaussian prior, whose denoiser, posterior and every sampler's step are known in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from preimage.movable import Movable


@dataclass(frozen=True)
class GaussianPrior(Movable):
    """x ~ N(mean, covariance), with its exact denoiser E[x₀ | x₀ + σn]."""

    mean: Tensor
    covariance: Tensor

    def gain(self, sigma: float) -> Tensor:
        """C (C + σ²I)⁻¹, what the denoiser multiplies by."""
        identity = torch.eye(len(self.mean), dtype=self.covariance.dtype, device=self.covariance.device)
        return torch.linalg.solve(self.covariance + sigma**2 * identity, self.covariance).mH

    def denoise(self, x: Tensor, sigma: Any) -> Tensor:
        """Mean + C (C + σ²I)⁻¹ (x − mean)."""
        return self.mean + (x - self.mean) @ self.gain(sigma).mT


def random(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """White noise."""
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def gaussian():
    """A prior of eight numbers that depend on each other, for a dtype."""

    def make(dtype: torch.dtype = torch.float64) -> GaussianPrior:
        root = random(8, 8, seed=1, dtype=dtype) / 8**0.5
        return GaussianPrior(random(8, seed=2, dtype=dtype), root @ root.mH + 0.1 * torch.eye(8, dtype=dtype))

    return make
