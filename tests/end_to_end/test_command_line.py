"""What a user sees at the command line, on the packs that ship: plans, tables, and one clear error for each mistake."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import preimage

RUN = """
[loader]
use = "zarr"
path = "data.zarr"

[operator]
use = "cartesian-mri"

[[prior]]
use = "sparsity"
transform = "wavelet"
dims = ["z", "y"]
weight = 1e-3

[solver]
use = "fista"
max_iter = 5

[compute]
blocks = { x = 2 }

[output]
path = "out.zarr"
"""


def dataset():
    truth = np.zeros((4, 8, 6), np.float32)
    truth[1:3, 2:6, 1:5] = 1
    return preimage.simulate(
        xr.Dataset({"truth": (("x", "z", "y"), truth)}, attrs={"voxel_size": {"x": 2.0, "z": 1.0, "y": 1.0}}),
        preparation=[
            {"use": "simulate-coils", "n_coils": 3},
            {"use": "sampling-mask", "pattern": "regular", "dims": ["ky"], "acceleration": 2, "centre": {"ky": 2}},
        ],
        operator="cartesian-mri",
        noise=0.01,
    )


@pytest.fixture
def shell(preimage_command):
    """A shell in a folder with a stored dataset and a run file."""
    preimage.write_dataset(dataset(), preimage_command.folder / "data.zarr")
    (preimage_command.folder / "run.toml").write_text(RUN)
    return preimage_command


def store(shell, data):
    preimage.write_dataset(data, shell.folder / "data.zarr", overwrite=True)


def test_dry_run_prints_the_plan_and_writes_nothing(shell):
    said = shell("run", "run.toml", "--dry-run")
    assert "readout-ifft" in said
    assert "x 2 of 4" in said
    assert "put in by operator cartesian-mri" in said
    assert not (shell.folder / "out.zarr").exists()


def test_dry_run_says_that_blocks_may_be_others_once_one_was_tried_and_probe_tries_them(shell):
    little = ("--set", "compute.blocks={}", "--set", "compute.memory=820 MiB")  # the parts count on 40 MiB of workspace
    said = shell("run", "run.toml", "--dry-run", *little)
    assert "these blocks follow from what the parts declare" in said
    said = shell("run", "run.toml", "--dry-run", "--probe", *little, "--set", "compute.workers=2")
    assert "these blocks" not in said
    assert "stage 1: a block that was tried, of 1, took" in said
    assert "all blocks of all stages take about" in said
    assert "on 2 workers" in said


def test_a_run_prints_its_numbers_and_going_on_changes_nothing(shell):
    said = shell("run", "run.toml")
    assert "PSNR" in said
    before = (shell.folder / "out.zarr" / "estimate" / "c" / "0" / "0" / "0").read_bytes()
    assert shell("run", "run.toml").split() == said.split()
    assert (shell.folder / "out.zarr" / "estimate" / "c" / "0" / "0" / "0").read_bytes() == before
    assert preimage.open_dataset(shell.folder / "out.zarr").attrs["voxel_size"] == {"x": 2.0, "z": 1.0, "y": 1.0}


def test_a_flipped_bit_is_found_by_verify_and_its_block_done_again(shell):
    shell("run", "run.toml")
    chunk = sorted(path for path in (shell.folder / "out.zarr" / "estimate" / "c").rglob("*") if path.is_file())[1]
    good = chunk.read_bytes()
    chunk.write_bytes(good[:-10] + bytes([good[-10] ^ 1]) + good[-9:])
    assert "note" not in shell("run", "run.toml")
    said = shell("run", "run.toml", "--verify")
    assert "note: block 1 of stage 2 is done again: estimate cannot be read" in said
    assert chunk.read_bytes() == good


def test_json_run_files_are_run_too(shell):
    import tomllib

    (shell.folder / "run.json").write_text(json.dumps(tomllib.loads(RUN)))
    assert "PSNR" in shell("run", "run.json")


def test_one_output_is_not_overwritten_by_another_run(shell):
    shell("run", "run.toml")
    said = shell("run", "run.toml", "--set", "solver.max_iter=6", code=2)
    assert "max_iter: 5, now 6" in said
    assert "--fresh" in said
    shell("run", "run.toml", "--set", "solver.max_iter=6", "--fresh")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("solver.use=fistaa", "did you mean 'fista'"),
        ("solver.max_itr=3", "did you mean 'max_iter'"),
        ("solver.max_iter=three", "solver.max_iter"),
        ("loader.path=nowhere.zarr", "nowhere.zarr"),
        ("compute.device=cuda:7", "is not there"),
        ("compute.blocks.y=2", "'y' cannot be cut: operator cartesian-mri needs it whole"),
        ("compute.memory=100 MiB", "too little"),
        ("output.path=out.zip", "ends in .zarr"),
        ("output.path=/proc/out.zarr", "cannot be created"),
        ("solver.use=conjugate-gradient", "takes no prior"),
        ("solver={use='minimum-norm'}", "takes no prior"),
        ("prior.1.dims=['q']", "q"),
    ],
)
def test_a_wrong_request_is_one_clear_error(shell, override, words):
    assert words in shell("run", "run.toml", "--set", override, code=2)


def drop(name):
    return lambda data: data.drop_vars(name)


def change(name, how):
    def changed(data):
        return data.assign({name: how(data[name]).variable})

    return changed


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (drop("measurement"), "[simulate]"),
        (change("measurement", lambda m: m.rename(kz="kq")), "kq"),
        (change("measurement", abs), "complex"),
        (change("sensitivities", lambda s: s.rename(coil="channel")), "coil"),
        (change("mask", lambda m: m & False), "mask"),
        (change("mask", lambda m: m.rename(ky="q")), "q"),
    ],
)
def test_wrong_data_are_named_before_they_are_read(shell, wrong, words):
    store(shell, wrong(dataset().load()))
    assert words in shell("run", "run.toml", code=2)


def test_values_that_are_not_finite_fail_the_run(shell):
    data = dataset().load()
    data["measurement"].values[0, 0, 0, 3] = np.nan  # in the centre of k-space, which is sampled
    store(shell, data)
    assert data["mask"].values[..., 3].all()
    assert "not finite" in shell("run", "run.toml", code=1)


def test_all_mistakes_of_a_file_are_told_at_once(shell):
    (shell.folder / "wrong.toml").write_text(
        RUN.replace('use = "fista"', 'use = "fisty"')
        .replace("weight = 1e-3", "wieght = 1e-3")
        .replace("[compute]", "[compote]")
        .replace('use = "zarr"', 'use = "zarr"\nsize = 3')
        .replace("max_iter = 5", 'max_iter = "many"')
        .replace('path = "out.zarr"', 'path = "out"')
    )
    lines = shell("validate", "wrong.toml", code=2).splitlines()
    told = [line for line in lines if line.startswith("wrong.toml:")]
    assert len(told) == 5  # the settings of a solver that is unknown cannot be checked
    for line, word in ((4, "size"), (14, "wieght"), (17, "fisty"), (20, "compote"), (24, "output.path")):
        assert any(text.startswith(f"wrong.toml:{line}:") and word in text for text in told), told


def test_the_laws_hold_for_what_ships(preimage_command):
    said = preimage_command("check", "preimage-imaging")
    assert "FAIL" not in said


def test_the_installed_command_stops_cleanly(shell):
    """As a process of its own, with Ctrl-C in the middle of a block: exit code 130, and the same command goes on."""
    state = shell.folder / "out.zarr.blocks" / "1" / "0.state.safetensors"
    settings = ("--set", "solver.max_iter=100000", "--set", "compute.checkpoint=0.1 s")
    command = [str(Path(sys.executable).with_name("preimage")), "run", "run.toml", *settings]
    process = subprocess.Popen(command, cwd=shell.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not state.exists():  # inside the first block
        assert time.monotonic() < until
        time.sleep(0.05)
    early = state.read_bytes()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert state.read_bytes() != early  # saved once more where it stopped
