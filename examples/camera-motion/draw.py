"""Draw the photograph, the blurred one, and what total variation and plug-and-play make of it, with a detail of each.

Before it: make_dataset.py, `preimage run total-variation.toml` and `preimage run plug-and-play.toml`.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np

import preimage

ROOT = Path(__file__).parents[2]
OUT = ROOT / "out" / "camera-motion"
PICTURE = ROOT / "docs" / "images" / "camera-motion.png"
RUNS = ("total-variation", "plug-and-play")
DETAIL = (slice(70, 220), slice(190, 340))


def main() -> None:
    dataset = preimage.open_dataset(OUT / "camera.zarr").load()
    blurred = preimage.simulate(dataset, operator="blur", noise=0.01)["measurement"]  # as the runs do, of the same seed
    truth = dataset["truth"].values
    images = {"truth": truth, f"blurred, {psnr(truth, blurred.values):.1f} dB": blurred.values}
    for run in RUNS:
        result = preimage.open_dataset(OUT / f"{run}.zarr")
        summary = result.attrs["preimage"]["summary"]
        images[f"{run}, {summary['psnr']:.1f} dB"] = result["estimate"].values
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    draw(images)
    print(f"picture: {PICTURE}")


def psnr(truth: np.ndarray, image: np.ndarray) -> float:
    return float(20 * np.log10(truth.max()) - 10 * np.log10(np.mean((image - truth) ** 2)))


def draw(images: dict[str, np.ndarray]) -> None:
    """All on one grey scale."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(images), figsize=(14, 7.3), layout="constrained")
    for column, (title, image) in zip(axes.T, images.items(), strict=True):
        column[0].set_title(title)
        for axis, part in zip(column, (image, image[DETAIL]), strict=True):
            axis.imshow(part, cmap="gray", vmin=0, vmax=1)
            axis.set_axis_off()
    figure.savefig(PICTURE, dpi=90)


if __name__ == "__main__":
    main()
