"""Reports as the command line leaves them: of a 3D complex volume in several blocks, an image, and two unknowns."""

import shutil
import subprocess

import numpy as np
import pytest
import xarray as xr
from PIL import Image
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
        "x–y at z = 4 of 8, voxels of 2 × 1.5 mm",
        "z–y at x = 2 of 4, voxels of 1 × 1.5 mm",
        "z–x at y = 3 of 6, voxels of 1 × 2 mm",
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


IMAGE = """
[loader]
use = "zarr"
path = "image.zarr"
[simulate]
noise = 0.01
[operator]
use = "blur"
sigma = 1.0
[solver]
use = "conjugate-gradient"
max_iter = 20
[output]
path = "out.zarr"
"""
BLIND = """
[loader]
use = "zarr"
path = "image.zarr"
[operator]
use = "blind-blur"
size = 3
[[prior]]
use = "simplex"
on = "kernel"
[solver]
use = "alternate"
max_iter = 3
[[solver.turns]]
unknown = "kernel"
solver = { use = "admm", max_iter = 2 }
[[solver.turns]]
unknown = "image"
solver = { use = "conjugate-gradient", max_iter = 2 }
[output]
path = "out.zarr"
"""


@pytest.fixture(params=["image", "two unknowns", "volume"])
def drawn(request, preimage_command):
    """The report of a finished run, and the headings that it should have below that of the estimate."""
    if request.param == "volume":
        request.getfixturevalue("shell")("run", "run.toml")
        planes = ["x–y at z = 4 of 8", "z–y at x = 2 of 4", "z–x at y = 3 of 6"]
    else:
        image = (("y", "x"), np.hypot(*np.mgrid[-8:8, -9:9]).astype(np.float32))
        values = {"truth": image} if request.param == "image" else {"measurement": image}
        preimage.write_dataset(xr.Dataset(values), preimage_command.folder / "image.zarr")
        run = preimage_command.folder / "run.toml"
        run.write_text(IMAGE if request.param == "image" else BLIND)
        preimage_command("run", run)
        planes = ["y–x"] if request.param == "image" else ["image", "y–x", "kernel", "psf_y–psf_x"]
    return preimage_command.folder / "out.zarr.report.html", planes


def test_every_kind_of_run_has_its_planes(drawn):
    report, planes = drawn
    page = check(report.read_text(encoding="utf-8"))
    headings = [text.partition(", ")[0] for tag, text in page.texts if tag in ("h3", "h4")]
    assert headings[: len(planes)] == planes
    assert headings[len(planes)] == "Run file"


BROWSER = shutil.which("chromium")


def shown(page, folder):
    """What a browser paints of a page, and what it complains of."""
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    options += (f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--window-size=1200,2400")
    picture = folder / "shown.png"
    done = subprocess.run(
        [BROWSER, *options, f"--screenshot={picture}", page.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return np.asarray(Image.open(picture).convert("L")), [
        line for line in done.stderr.splitlines() if "CONSOLE" in line
    ]


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
def test_a_browser_shows_it_and_has_nothing_to_complain_of(drawn, tmp_path):
    report, _ = drawn
    pixels, complaints = shown(report, tmp_path)
    assert not complaints
    assert (pixels[2000:] < 250).any()  # it goes on to the foot of the window
    other = report.with_name("other.html")  # the control: one that asks for what is not in it
    other.write_text(report.read_text(encoding="utf-8").replace("<h1>", "<h1><img src='http://localhost:9/x.png'>"))
    assert "http://localhost:9/x.png" in shown(other, tmp_path)[1][0]
