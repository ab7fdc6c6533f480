"""Draw what blind deblurring found beside the truth: the image, and the kernel that blurred it."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

import preimage
from preimage.metrics import aligned

ROOT = Path(__file__).parents[2]
OUT = ROOT / "out" / "camera-blind"
PICTURE = ROOT / "docs" / "images" / "camera-blind.png"
AMBIGUITY = frozenset({"scale", "shift"})
"""Of a convolution of two unknowns: what one is moved or multiplied by, the other can be by the opposite."""


def main() -> None:
    data, result = preimage.open_dataset(OUT / "blurred.zarr"), preimage.open_dataset(OUT / "estimate.zarr")
    summary = result.attrs["preimage"]["summary"]
    image, kernel = (
        (data[f"truth_{name}"].values, turned(data[f"truth_{name}"].values, result[f"estimate_{name}"].values))
        for name in ("image", "kernel")
    )
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    draw(*image, data["measurement"].values, *kernel, summary["psnr_image"])
    print(f"picture: {PICTURE}")


def turned(truth: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """The estimate where the truth is."""
    return aligned(truth.astype(float), estimate.astype(float), AMBIGUITY, (0, 1))


def psnr(truth: np.ndarray, image: np.ndarray) -> float:
    return float(20 * np.log10(truth.max()) - 10 * np.log10(np.mean((image - truth) ** 2)))


def draw(
    truth: np.ndarray, estimate: np.ndarray, blurred: np.ndarray, true_kernel: np.ndarray, kernel: np.ndarray, db: float
) -> None:
    """Images on one grey scale, kernels on another."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(13, 4.4), layout="constrained")
    axes = figure.subplot_mosaic("AABBCCD;AABBCCE")
    images = {
        "A": ("truth", truth),
        "B": (f"blurred by a movement, {psnr(truth, blurred):.1f} dB", blurred),
        "C": (f"blind estimate, {db:.1f} dB", estimate),
    }
    kernels = {"D": ("true kernel", true_kernel), "E": ("estimated kernel", kernel)}
    for key, (title, shown) in images.items():
        drawn = axes[key].imshow(shown, cmap="gray", vmin=0, vmax=float(truth.max()))
        axes[key].set_title(title)
        axes[key].set_axis_off()
    figure.colorbar(drawn, ax=axes["C"], shrink=0.7, label="white = 1")
    for key, (title, shown) in kernels.items():
        drawn = axes[key].imshow(shown, cmap="magma", vmin=0, vmax=float(true_kernel.max()))
        axes[key].set_title(title)
        axes[key].set_xticks([])
        axes[key].set_yticks([])
    figure.colorbar(drawn, ax=[axes["D"], axes["E"]], shrink=0.7, label="share of the light")
    figure.savefig(PICTURE, dpi=90)


if __name__ == "__main__":
    main()
