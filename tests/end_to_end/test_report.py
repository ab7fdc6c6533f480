"""The report of a 3D complex reconstruction in several blocks, as the command line leaves it."""

import numpy as np
import pytest
import xarray as xr
from support.documents import check

import preimage

RUN = """
seed = 7
[loader]
use = "zarr"
path = "data.zarr"
[operator]
use = "cartesian-mri"
[[prior]]
use = "sparsity"
dims = ["z", "y"]
weight = 1e-4
[solver]
use = "fista"
max_iter = 20
[compute]
blocks = { x = 2 }
[output]
path = "out.zarr"
"""
MARKED = 2
"""The slice along x that is bright, in the middle of four."""


@pytest.fixture
def shell(preimage_command):
    """A shell in a folder with a stored measurement of a marked volume and a run file."""
    random = np.random.default_rng(0)
    truth = (0.2 * random.random((4, 8, 6))).astype(np.complex64)
    truth[MARKED] = np.exp(1j * np.linspace(-2, 2, 6))
    measured = preimage.simulate(
        xr.Dataset({"truth": (("x", "z", "y"), truth)}, attrs={"voxel_size": {"x": 2.0, "z": 1.0, "y": 1.5}}),
        preparation=[
            {"use": "simulate-coils", "n_coils": 3},
            {"use": "sampling-mask", "pattern": "regular", "dims": ["ky"], "acceleration": 2, "centre": {"ky": 2}},
        ],
        operator="cartesian-mri",
    )
    preimage.write_dataset(measured, preimage_command.folder / "data.zarr")
    (preimage_command.folder / "run.toml").write_text(RUN)
    return preimage_command


def test_the_path_is_printed_and_the_report_shows_the_volume(shell):
    said = shell("run", "run.toml")
    assert said.splitlines()[-1] == "report: out.zarr.report.html"
    page = check((shell.folder / "out.zarr.report.html").read_text(encoding="utf-8"))
    assert page.text_of("h1") == ["cartesian-mri · sparsity · fista"]
    assert page.text_of("h3")[:3] == [
        "x–y at z = 4 of 8, voxels of 2 × 1.5",
        "z–y at x = 2 of 4, voxels of 1 × 1.5",
        "z–x at y = 3 of 6, voxels of 1 × 2",
    ]
    summary = preimage.open_dataset(shell.folder / "out.zarr").attrs["preimage"]["summary"]
    assert f"{summary['psnr']:.2f} dB" in page.text_of("td")
    pictures = {alt: np.asarray(picture).astype(int) for alt, picture in page.pictures()}
    for what in ("truth", "estimate"):
        across = pictures[f"{what}, magnitude: estimate, z–y at x = 2 of 4"]
        assert across.shape == (8, 6, 4)
        assert across[..., 0].min() > 200  # the slice that is bright
        assert pictures[f"{what}, magnitude: estimate, z–x at y = 3 of 6"][..., 0].argmax(1).tolist() == [MARKED] * 8
        turning = pictures[f"{what}, phase: estimate, z–y at x = 2 of 4"]
        scale = pictures["scale of phase in rad, from −π to π"][0]
        expected = scale[np.rint((np.linspace(-2, 2, 6) + np.pi) / (2 * np.pi) * 255).astype(int)]
        assert np.abs(turning - expected).max() < 20  # of 255; the estimate is close to the truth, not equal


def test_the_resolved_run_file_is_the_same_run(shell):
    shell("run", "run.toml")
    report = shell.folder / "out.zarr.report.html"
    (text,) = check(report.read_text(encoding="utf-8")).text_of("pre")
    (shell.folder / "pasted.toml").write_text(text)
    shell("validate", "pasted.toml")
    written = report.stat().st_mtime_ns
    assert "report: out.zarr.report.html" in shell("run", "pasted.toml")  # it is finished, and not of other settings
    assert report.stat().st_mtime_ns == written
