"""The data of the cases: generated, the same every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from problems import diffraction, mri, volume

Arrays = Mapping[str, NDArray[np.generic]]

PROBLEMS: Mapping[str, Callable[[int], Arrays]] = {
    "mri": mri.cube,
    "mri-slab": mri.slab,
    "volume": volume.make,
    "diffraction": diffraction.make,
}
"""Name → what generates the problem of a size."""


def save(arrays: Arrays, folder: Path) -> None:
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def load(folder: Path, name: str) -> NDArray[np.generic]:
    """Read one array of the data: nobody holds what he does not use."""
    return np.load(folder / f"{name}.npy", allow_pickle=False)
