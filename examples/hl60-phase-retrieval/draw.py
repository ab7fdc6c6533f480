"""Draw the field that was recovered beside the true one: magnitude and phase, and by how much they differ."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

import preimage

ROOT = Path(__file__).parents[2]
OUT = ROOT / "out" / "hl60-phase-retrieval"
PICTURE = ROOT / "docs" / "images" / "hl60-phase-retrieval.png"
ERROR_GAIN = 5


def main() -> None:
    truth = preimage.open_dataset(OUT / "field.zarr")["truth"].values
    estimate = preimage.open_dataset(OUT / "estimate.zarr")["estimate"].values
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    draw(truth, turned(estimate, truth))
    print(f"picture: {PICTURE}")


def turned(estimate: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The estimate with the global phase of the truth, of which its data know nothing."""
    return estimate * np.exp(1j * np.angle(np.vdot(estimate, truth)))


def draw(truth: np.ndarray, estimate: np.ndarray) -> None:
    """A row of magnitudes and one of phases, each on one scale; errors are drawn ERROR_GAIN times as strong."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(10, 6.2), layout="constrained")
    errors = abs(abs(estimate) - abs(truth)), np.angle(estimate * truth.conj())
    rows = [
        ("magnitude", (abs(truth), abs(estimate)), errors[0], {"cmap": "gray", "vmin": 0, "vmax": abs(truth).max()}),
        (
            "phase",
            (np.angle(truth), np.angle(estimate)),
            errors[1],
            {"cmap": "twilight", "vmin": -np.pi, "vmax": np.pi},
        ),
    ]
    for row, (name, images, error, scale) in zip(axes, rows, strict=True):
        titles = [f"truth, {name}", f"six patterns, {name}", f"{ERROR_GAIN} × error of the {name}"]
        for axis, title, image in zip(row, titles, [*images, ERROR_GAIN * error], strict=True):
            drawn = axis.imshow(image, **scale)
            axis.set_title(title)
            axis.set_axis_off()
        unit = "rad" if name == "phase" else "as measured"
        figure.colorbar(drawn, ax=row, shrink=0.8, label=unit)
    figure.savefig(PICTURE, dpi=90)


if __name__ == "__main__":
    main()
