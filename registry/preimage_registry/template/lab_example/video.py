"""A video whose coded exposure can be tried: a disc that crosses the picture."""

from __future__ import annotations

import numpy as np
import xarray as xr


def moving_disc(n_frames: int = 4, n_rows: int = 48, n_columns: int = 64, seed: int = 0) -> xr.Dataset:
    """The `truth` of a video, and the `code` of a camera that sees half of the pixels in every frame."""
    random = np.random.default_rng(seed)
    y, x = np.arange(n_rows)[:, None], np.arange(n_columns)
    middle = n_columns * (0.3 + 0.4 * np.arange(n_frames) / n_frames)
    disc = (y - n_rows / 2) ** 2 + (x - middle[:, None, None]) ** 2 < (n_rows / 5) ** 2
    dims, shape = ("time", "y", "x"), (n_frames, n_rows, n_columns)
    return xr.Dataset(
        {
            "truth": (dims, (0.2 + 0.8 * disc).astype(np.float32)),
            "code": (dims, random.integers(0, 2, shape).astype(np.float32)),
        }
    )
