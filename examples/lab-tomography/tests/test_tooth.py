"""A real tooth, in fewer iterations than the run files have."""

import os
from pathlib import Path

import numpy as np
import preimage
import pytest
import xarray as xr
from skimage.registration import phase_cross_correlation

LAB = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif("PREIMAGE_DATA" not in os.environ, reason="PREIMAGE_DATA names the real measurements")


def centre_from_opposite_projections(path):
    """Half of what the first projection is shifted by against the mirrored one of 180°, which is extrapolated."""
    import h5py

    with h5py.File(path, "r") as file:
        counts, white, dark = (
            file[f"exchange/{name}"][:].astype(float) for name in ("data", "data_white", "data_dark")
        )
    views = -np.log((counts - dark.mean(0)) / (white.mean(0) - dark.mean(0)))[:, 0]
    opposite = 2 * views[-1] - views[-2]  # the last is a step before 180°
    (shift,), *_ = phase_cross_correlation(views[0], opposite[::-1], upsample_factor=100)
    return (shift + views.shape[-1] - 1) / 2


def test_total_variation_makes_up_for_views_that_are_missing(tmp_path):
    full = preimage.run(LAB / "tooth.toml", ["solver.max_iter=10", f"output.path={tmp_path / 'full.zarr'}"])
    centre = float(xr.open_zarr(tmp_path / "full.zarr" / "calibration" / "1", consolidated=False)["centre"])
    path = Path(os.environ["PREIMAGE_DATA"]) / "ct_tooth_sinogram" / "tooth.h5"
    # Of two noisy projections, one of them extrapolated by a degree: half a pixel.
    assert centre == pytest.approx(centre_from_opposite_projections(path), abs=0.5)
    reference = full["estimate"].values

    def error(file, output, *changes):
        result = preimage.run(LAB / file, [*changes, "loader.every=8", f"output.path={tmp_path / output}"])
        return np.linalg.norm(result["estimate"].values - reference) / np.linalg.norm(reference)

    least_squares = error("tooth.toml", "cg.zarr", "solver.max_iter=10")
    assert error("tooth-few-views.toml", "tv.zarr", "solver.max_iter=60") < 0.6 * least_squares
