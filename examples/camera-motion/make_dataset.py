"""Make the example's dataset: a photograph, and the path of a camera that moves while it is taken.

The photograph is the cameraman that scikit-image ships, 512 × 512. The camera goes along an arc of 19 pixels: the psf
is the time that it spends at each.
"""

from pathlib import Path

import numpy as np
import skimage.data
import xarray as xr

import preimage

LENGTH, SIZE = 19, 21
"""Of the path and of the psf in pixels."""


def motion_psf() -> np.ndarray:
    """An arc at some 30°, with the sum 1; every moment is shared among the four pixels round it."""
    time = np.linspace(-1, 1, 1001)
    along, across = LENGTH / 2 * time, 4 * (time**2 - 0.5)
    angle = np.deg2rad(30)
    y = along * np.sin(angle) + across * np.cos(angle) + SIZE // 2
    x = along * np.cos(angle) - across * np.sin(angle) + SIZE // 2
    psf = np.zeros((SIZE, SIZE))
    for dy in (0, 1):
        for dx in (0, 1):
            share = np.abs(1 - dy - y % 1) * np.abs(1 - dx - x % 1)
            np.add.at(psf, (y.astype(int) + dy, x.astype(int) + dx), share)
    return psf / psf.sum()


def make_dataset(path: Path) -> None:
    """Store the photograph, between 0 and 1, and the psf as Zarr."""
    photograph = (skimage.data.camera() / 255).astype(np.float32)
    dataset = xr.Dataset(
        {"truth": (("y", "x"), photograph), "psf": (("psf_y", "psf_x"), motion_psf().astype(np.float32))}
    )
    preimage.write_dataset(dataset, path, overwrite=True)


if __name__ == "__main__":
    make_dataset(Path(__file__).parents[2] / "out" / "camera-motion" / "camera.zarr")
