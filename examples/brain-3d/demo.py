"""Reconstruct a real multi-coil 3D brain three ways, block by block, and draw what came of it.

`make demo` runs this. Everything that it writes is in out/brain-3d/.
"""

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from make_dataset import make_dataset

import preimage

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "out" / "brain-3d"
RUNS = {"zero-filled": "zero-filled", "cg-sense": "CG-SENSE", "l1-wavelet": "L1-wavelet"}
PICTURE = OUT / "brain-3d.png"
SLICE = 12
ERROR_GAIN = 4


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    print("simulating the measurement of a real brain by eight coils at R = 4", flush=True)
    make_dataset(OUT / "brain.zarr")
    results = {}
    for run, title in RUNS.items():
        print(f"\n{title}: preimage run examples/brain-3d/{run}.toml", flush=True)
        subprocess.run([Path(sys.executable).with_name("preimage"), "run", HERE / f"{run}.toml", "--fresh"], check=True)
        results[title] = preimage.open_dataset(OUT / f"{run}.zarr")
    print()
    show_table({title: result.attrs["preimage"]["summary"] for title, result in results.items()})
    truth = preimage.open_dataset(OUT / "brain.zarr")["truth"].isel(z=SLICE)
    draw(truth.values, {title: abs(result["estimate"].isel(z=SLICE)).values for title, result in results.items()})
    print(f"\npicture: {PICTURE}")


def show_table(summaries: dict[str, dict[str, float]]) -> None:
    print(f"{'':12} {'PSNR':>9} {'SSIM':>7} {'NRMSE':>7} {'time':>8} {'peak memory':>12}")
    for title, s in summaries.items():
        print(
            f"{title:12} {s['psnr']:6.2f} dB {s['ssim']:7.4f} {s['nrmse']:7.4f} {s['seconds']:6.1f} s "
            f"{s['peak_mib']:8.0f} MiB"
        )


def draw(truth: np.ndarray, estimates: dict[str, np.ndarray]) -> None:
    """Truth, estimates and errors on one grey scale; errors are drawn ERROR_GAIN times as bright."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 4, figsize=(13, 5.4), layout="constrained")
    top = [("truth", truth), *estimates.items()]
    bottom = [(f"{ERROR_GAIN} × error", ERROR_GAIN * np.abs(image - truth)) for image in estimates.values()]
    axes[1, 0].set_axis_off()
    for axis, (title, image) in zip([*axes[0], *axes[1, 1:]], [*top, *bottom], strict=True):
        drawn = axis.imshow(np.rot90(image), cmap="gray", vmin=0, vmax=float(truth.max()))
        axis.set_title(title)
        axis.set_axis_off()
    figure.colorbar(drawn, ax=axes, shrink=0.6, label="magnitude, brightest voxel = 1")
    figure.savefig(PICTURE, dpi=120)


if __name__ == "__main__":
    main()
