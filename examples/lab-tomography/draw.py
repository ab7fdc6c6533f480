"""Reconstruct the tooth from all views and from every fourth, and draw what total variation makes of the fewer.

Run it in this folder, so that its plugins.toml is obeyed: beside each result it then leaves a table of step times.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import preimage

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "out"
PICTURE = HERE.parents[1] / "docs" / "images" / "tooth.png"
FEW = ["loader.every=4", f"output.path={OUT / 'tooth-few-views-cg.zarr'}"]
RUNS = {
    "181 views, CG": ("tooth.toml", []),
    "46 views, CG": ("tooth.toml", FEW),
    "46 views, TV": ("tooth-few-views.toml", []),
}
CROP = slice(120, 480), slice(180, 500)
"""Rows and columns that are drawn of the first slice: the tooth."""
ERROR_GAIN = 2


def main() -> None:
    """Run all three, say how far those of few views are from that of all, and draw them."""
    volumes = {}
    for title, (file, changes) in RUNS.items():
        print(f"{title}: preimage run {' '.join([file, *(f'--set {change}' for change in changes)])}", flush=True)
        volumes[title] = preimage.run(HERE / file, changes)["estimate"].values
    reference, *others = volumes.values()
    errors = [np.linalg.norm(one - reference) / np.linalg.norm(reference) for one in others]
    draw({title: volume[0][CROP] for title, volume in volumes.items()}, errors)
    print(*(f"{title}: NRMSE {error:.3f}" for title, error in zip([*volumes][1:], errors, strict=True)), sep="\n")
    print(f"picture: {PICTURE}")


def draw(images: dict[str, np.ndarray], errors: list[float]) -> None:
    """The slices on one scale, and by how much the two of few views differ from the one of all."""
    mpl.use("Agg")
    from matplotlib import pyplot

    reference = next(iter(images.values()))
    brightest = float(np.percentile(reference, 99.5))
    figure, axes = pyplot.subplots(2, 3, figsize=(9.6, 6.8), layout="constrained")
    titles = [*images][:1] + [f"{title}, NRMSE {e:.3f}" for title, e in zip([*images][1:], errors, strict=True)]
    differences = [ERROR_GAIN * np.abs(image - reference) for image in images.values()][1:]
    axes[1, 0].set_axis_off()
    for axis, title, image in zip(
        [*axes[0], *axes[1, 1:]],
        [*titles, *[f"{ERROR_GAIN} × difference from 181 views"] * 2],
        [*images.values(), *differences],
        strict=True,
    ):
        drawn = axis.imshow(image, cmap="gray", vmin=0, vmax=brightest)
        axis.set_title(title)
        axis.set_axis_off()
    figure.colorbar(drawn, ax=axes, shrink=0.6, label="attenuation per pixel")
    figure.savefig(PICTURE, dpi=80)


if __name__ == "__main__":
    main()
