"""Make the example's dataset: scikit-image's cameraman at half its size, moved while the shutter was open.

Neither the image nor the kernel is given to the run: they are kept as `truth_image` and `truth_kernel` to score it by.
"""

from pathlib import Path

import numpy as np
import skimage.data
import xarray as xr

import preimage

BLUR = {"use": "blur", "motion": {"length": 11, "angle": 35}}
NOISE = 0.005
"""Standard deviation, where white is 1."""
SIZE = 15
"""Pixels of the square that the kernel is looked for in."""


def make_dataset(path: Path) -> None:
    """Simulate the blurred photograph and store it."""
    camera = skimage.data.camera().astype(np.float32) / 255
    image = camera.reshape(256, 2, 256, 2).mean((1, 3))
    blurred = preimage.simulate(xr.Dataset({"truth": (("y", "x"), image)}), operator=BLUR, noise=NOISE)
    point = np.zeros((SIZE, SIZE), np.float32)
    point[SIZE // 2, SIZE // 2] = 1
    kernel = preimage.simulate(xr.Dataset({"truth": (("psf_y", "psf_x"), point)}), operator=BLUR)
    dataset = xr.Dataset(
        {
            "measurement": blurred["measurement"],
            "truth_image": blurred["truth"],
            "truth_kernel": kernel["measurement"],
        }
    )
    preimage.write_dataset(dataset, path, overwrite=True)


if __name__ == "__main__":
    make_dataset(Path(__file__).parents[2] / "out" / "camera-blind" / "blurred.zarr")
