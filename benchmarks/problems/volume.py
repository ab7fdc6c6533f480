"""A noisy real volume.

noisy  float32 (z, y, x)
truth  float64 (z, y, x)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from problems.phantom import grid, phantom

NOISE = 0.1
"""Standard deviation of the noise; the image's largest value is about 1."""


def make(size: int) -> dict[str, NDArray]:
    """Generate the problem with `size` voxels along every dim."""
    truth = np.abs(phantom(*grid(size, size, size)))
    noise = np.random.default_rng(0).standard_normal(truth.shape)
    return {"noisy": (truth + NOISE * noise).astype(np.float32), "truth": truth}
