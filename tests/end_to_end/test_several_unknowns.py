"""Runs with two unknowns, from the run file to the table: a stack of images, each blurred by a kernel of its own."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import preimage
from preimage.metrics import NRMSE, aligned
from preimage.volumes.markers import Beside

RUN = """
[loader]
use = "zarr"
path = "data.zarr"

[operator]
use = "blind-blur"
size = 3
own_kernels = ["z"]

[[prior]]
use = "tikhonov"
on = "image"
weight = 1e-3

[[prior]]
use = "simplex"
on = "kernel"
dims = ["psf_y", "psf_x"]

[solver]
use = "alternate"
max_iter = 150

[[solver.turns]]
unknown = "image"
solver = { use = "fista", max_iter = 4 }

[[solver.turns]]
unknown = "kernel"
[solver.turns.solver]
use = "sequence"
solvers = [{ use = "fista", momentum = "none", max_iter = 2 }, { use = "fista", max_iter = 3 }]

[compute]
blocks = { z = 1 }
checkpoint = "50 ms"

[output]
path = "out.zarr"
"""
IMAGES, KERNELS = ("z", "y", "x"), ("z", "psf_y", "psf_x")


def dataset():
    random = np.random.default_rng(0)
    images = (random.random((2, 16, 17)) < 0.1).astype(np.float32)
    kernels = random.random((2, 3, 3)).astype(np.float32)
    kernels /= kernels.sum((1, 2), keepdims=True)
    truth = xr.Dataset(
        {"truth": (IMAGES, images), "psf": (KERNELS, kernels)},
        coords={"z": ("z", [0.0, 2.5], {"units": "mm"}), "psf_x": ("psf_x", [-1.0, 0.0, 1.0])},
    )
    measured = preimage.simulate(truth, operator="blur", noise=1e-3)
    return measured.rename(truth="truth_image", psf="truth_kernel")


@pytest.fixture
def shell(preimage_command):
    """A shell in a folder with a stored dataset and a run file."""
    preimage.write_dataset(dataset(), preimage_command.folder / "data.zarr")
    (preimage_command.folder / "run.toml").write_text(RUN)
    return preimage_command


def estimates(shell, name="out.zarr"):
    result = preimage.open_dataset(shell.folder / name)
    return {unknown: result[f"estimate_{unknown}"].values for unknown in ("image", "kernel")}


def test_from_the_run_file_to_the_table(shell):
    assert "solver      alternate" in shell("validate", "run.toml")
    plan = shell("run", "run.toml", "--dry-run")
    assert "z 1 of 2" in plan
    said = shell("run", "run.toml")
    titles, *rows = [line.split() for line in said.splitlines()[:3]]
    assert titles[:4] == ["unknown", "PSNR", "SSIM", "NRMSE"]
    assert [row[0] for row in rows] == ["image", "kernel"]
    result = preimage.open_dataset(shell.folder / "out.zarr")
    assert result["estimate_image"].dims == IMAGES
    assert result["estimate_kernel"].dims == KERNELS
    assert result["z"].attrs["units"] == "mm"
    assert result["psf_x"].values.tolist() == [-1, 0, 1]
    assert result["history"].sizes["block"] == 2
    assert (np.diff(result["history"].values[..., 0], axis=1) < 0).all()
    kernels = result["estimate_kernel"].values
    assert kernels.min() >= 0
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, rtol=1e-6)  # nine numbers in single precision
    assert (shell.folder / "out.zarr.report.html").exists()


def test_what_the_solver_of_a_turn_lacks_is_told_before_data_are_read(shell):
    text = RUN.replace('"tikhonov"', '"total-variation"') + "[simulate]\nnoise = 1e-3\n"
    (shell.folder / "run.toml").write_text(text.replace("data.zarr", "nowhere.zarr"))
    line = text.splitlines().index('unknown = "image"') + 2
    assert shell("validate", "run.toml", code=2) == (
        f"run.toml:{line}: solver.turns.1.solver: fista cannot be used here: prior 1 (TotalVariation) is no Proximable "
        "(solvers that fit: admm, consensus, pdhg)\n"
    )
    closed = 'use = "admm", image_update = "closed-form"'  # which the operator of the image may have
    (shell.folder / "run.toml").write_text(RUN.replace('use = "fista", max_iter = 4', closed))
    assert "valid" in shell("validate", "run.toml")


def test_solvers_that_fit_are_told_though_they_need_settings(shell):
    text = RUN[: RUN.index("[[prior]]")].replace("blind-blur", "identity").replace('size = 3\nown_kernels = ["z"]', "")
    (shell.folder / "run.toml").write_text(text + '[[prior]]\nuse = "tv-denoiser"\n[solver]\nuse = "fista"\n')
    assert "(solvers that fit: plug-and-play)" in shell("validate", "run.toml", code=2)


def test_each_unknown_is_scored_over_what_cannot_be_told_apart_image_by_image(shell):
    shell("run", "run.toml")
    result, data = preimage.open_dataset(shell.folder / "out.zarr"), dataset()
    summary = result.attrs["preimage"]["summary"]
    assert not {"psnr", "ssim", "nrmse"} & summary.keys()
    for unknown, found in estimates(shell).items():
        truth = data[f"truth_{unknown}"].values.astype(float)
        turned = aligned(truth, found.astype(float), frozenset({"scale", "shift"}), (1, 2))
        total = NRMSE().partial(truth, turned, {})
        assert summary[f"nrmse_{unknown}"] == pytest.approx(NRMSE().finish(total, {}), rel=1e-6)
        assert np.isfinite(summary[f"psnr_{unknown}"])


def test_each_block_is_what_its_image_gives_alone(shell):
    shell("run", "run.toml")
    whole = estimates(shell)
    for i in range(2):
        preimage.write_dataset(dataset().isel(z=[i]), shell.folder / "data.zarr", overwrite=True)
        shell("run", "run.toml", "--set", "output.path=one.zarr", "--fresh")
        for unknown, found in estimates(shell, "one.zarr").items():
            assert np.array_equal(found[0], whole[unknown][i])


def test_a_run_killed_inside_a_block_goes_on_and_ends_bitwise_equal(shell):
    shell("run", "run.toml")
    whole = estimates(shell)
    beside = Beside(shell.folder / "killed.zarr")
    command = [str(Path(sys.executable).with_name("preimage")), "run", "run.toml", "--set", "output.path=killed.zarr"]
    process = subprocess.Popen(command, cwd=shell.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while not beside.state(0, 1).exists():
        assert time.monotonic() < until, "it did not happen"
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert beside.read(0, 0) is not None
    assert beside.read(0, 1) is None
    shell("run", "run.toml", "--set", "output.path=killed.zarr")
    assert beside.read(0, 1)["resumed_from"] > 0
    for unknown, found in estimates(shell, "killed.zarr").items():
        assert np.array_equal(found, whole[unknown])


def test_in_memory_both_unknowns_come_back():
    data = dataset()
    turns = [{"unknown": name, "solver": {"use": "fista", "max_iter": 3}} for name in ("image", "kernel")]
    found = preimage.reconstruct(
        data,
        operator={"use": "blind-blur", "size": 3, "own_kernels": ["z"]},
        prior=[{"use": "tikhonov", "on": "image"}, {"use": "simplex", "on": "kernel", "dims": ["psf_y", "psf_x"]}],
        solver={"use": "alternate", "max_iter": 2, "turns": turns},
    )
    assert found["estimate_image"].dims == IMAGES
    assert found["estimate_kernel"].dims == KERNELS


WRONG_NAMES = [
    (
        {'on = "image"': 'on = "imge"'},
        "run.toml:13: prior.1.on: there is no unknown 'imge': those of operator blind-blur are image, kernel "
        "(did you mean 'image'?)",
    ),
    (
        {'on = "image"\n': ""},
        'run.toml:20: solver: prior 1 is on all unknowns: with alternate say on = "...", one of image, kernel',
    ),
    (
        {'unknown = "image"': 'unknown = "imge"'},
        "run.toml:21: solver: alternate takes turns between imge, kernel: the unknowns are image, kernel",
    ),
    (
        {'use = "fista", max_iter = 4': 'use = "gradient-descent", step = { image = 1.0 }'},
        "run.toml:27: solver.turns.1.solver: GradientDescent has steps for image: there is one unknown, without a name",
    ),
    (
        {'use = "fista", max_iter = 4': 'use = "conjugate-gradient"'},
        "run.toml:27: solver.turns.1.solver: conjugate-gradient cannot be used here: it takes no prior, there is 1 "
        "(solvers that fit: admm, consensus, fista, gradient-descent, pdhg, proximal-gradient, sequence)",
    ),
]


@pytest.mark.parametrize("command", ["validate", "run"])
@pytest.mark.parametrize(("changes", "says"), WRONG_NAMES)
def test_an_unknown_that_is_not_there_is_one_line_before_any_data_are_looked_at(shell, command, changes, says):
    shutil.rmtree(shell.folder / "data.zarr")
    text = RUN
    for old, new in changes.items():
        text = text.replace(old, new)
    (shell.folder / "run.toml").write_text(text)
    assert shell(command, "run.toml", code=2).removeprefix("preimage: ").strip() == says


def test_all_wrong_names_are_told_at_once(shell):
    text = RUN.replace('on = "image"', 'on = "imge"').replace('unknown = "kernel"', 'unknown = "psf"')
    (shell.folder / "run.toml").write_text(text)
    said = shell("validate", "run.toml", code=2)
    assert "run.toml:13: prior.1.on: there is no unknown 'imge'" in said
    assert "run.toml:21: solver: alternate takes turns between image, psf" in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"own_kernels = ['z']": "", 'own_kernels = ["z"]': ""},
            "'z' cannot be cut: operator blind-blur needs it whole",
        ),
        ({"size = 3": "size = 30"}, "the kernel is 30 long along 'y', the image 16"),
        ({'use = "blind-blur"\nsize = 3\nown_kernels = ["z"]': 'use = "blur"\nsigma = 1'}, "is no Multilinear"),
        ({'momentum = "none"': "momentum = 3"}, "solver.turns.2.solver.solvers.1.momentum"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(shell, changes, words):
    text = RUN
    for old, new in changes.items():
        text = text.replace(old, new)
    assert text != RUN
    (shell.folder / "run.toml").write_text(text)
    assert words in shell("run", "run.toml", code=2)
