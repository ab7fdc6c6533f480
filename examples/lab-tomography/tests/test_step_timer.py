"""The extension: it times, and changes nothing."""

import csv

import h5py
import numpy as np
import preimage
import pytest
import torch
from preimage import Problem, Space
from preimage.operators import Identity
from preimage.solving import Stop, solve

from lab_tomography.data_exchange import DATA, THETA
from lab_tomography.phantom import scan
from lab_tomography.step_timer import Clock, TimedSolver

RUN = """
[loader]
use = "data-exchange"
path = "scan.h5"

[operator]
use = "parallel-beam"

[solver]
use = "conjugate-gradient"
max_iter = 4

[compute]
blocks = { z = 2 }

[output]
path = "out.zarr"
"""


@pytest.fixture
def run_file(tmp_path, monkeypatch):
    """A run of three slices in two blocks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PREIMAGE_PLUGINS", raising=False)
    dataset = scan({"z": 3}, n_angles=9, n_pixels=12)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file[DATA] = dataset["measurement"].transpose("angle", "z", "detector").values
        file[THETA] = dataset["angle"].values
    (tmp_path / "run.toml").write_text(RUN)
    return tmp_path / "run.toml"


def test_every_step_of_every_block_is_in_the_table(run_file):
    (run_file.parent / "plugins.toml").write_text('extensions = ["step-timer"]\n')
    timed = preimage.run(run_file)["estimate"].values
    with (run_file.parent / "out.zarr.steps.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["block"], row["iterations"], row["steps"]) for row in rows] == [("0", "4", "4"), ("1", "4", "4")]
    for row in rows:
        assert 0 < float(row["median_step_ms"]) <= float(row["longest_step_ms"]) < 1e3 * float(row["seconds"])
    (run_file.parent / "plugins.toml").write_text("")
    untimed = preimage.run(run_file, ["output.path=other.zarr"])["estimate"].values
    np.testing.assert_array_equal(timed, untimed)
    assert not (run_file.parent / "other.zarr.steps.csv").exists()


def test_steps_of_other_processes_are_left_blank(run_file):
    (run_file.parent / "plugins.toml").write_text('extensions = ["step-timer"]\n')
    preimage.run(run_file, ["compute.workers=2"])
    with (run_file.parent / "out.zarr.steps.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["block"], row["iterations"], row["steps"]) for row in rows) == [("0", "4", ""), ("1", "4", "")]


def test_a_timed_solver_is_the_solver_in_all_else():
    solver = preimage.make("solver.conjugate-gradient", max_iter=3)
    clock = Clock()
    timed = TimedSolver(solver, clock)
    assert (timed.needs, timed.couples, timed.stop) == (solver.needs, solver.couples, solver.stop)
    space = Space(("x",), (4,), torch.float64)
    problem = Problem(space.randn(torch.Generator().manual_seed(0)), Identity(space))
    assert torch.equal(solve(timed, problem, Stop(2)).x, solve(solver, problem, Stop(2)).x)
    assert len(clock.take()) == 2
    assert clock.take() == []
