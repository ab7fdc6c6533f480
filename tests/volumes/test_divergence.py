"""A solver that diverges fails its run; what is infinite by definition does not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from support import toy_chain

import preimage
from preimage.errors import RunError
from preimage.operators import Identity
from preimage.problem import Problem
from preimage.solving import State
from preimage.space import Blocks, Space
from preimage.volumes.progress import Progress
from preimage.volumes.stores import open_dataset, write_dataset
from preimage.volumes.tasks.observing import Checkpoints, History

DIVERGING = {"max_iter": 200, "length": 5.0}
"""A step of five times 1/L enlarges the error fourfold: single precision squares no more than 32 of these."""


@pytest.fixture
def dark(tmp_path):
    """A dataset whose first block of four rows is 0, where every step finds what is there already."""
    data = toy_chain.example(hybrid=True)
    rows = data["measurement"].values
    rows[:4] = 0
    write_dataset(data.assign(measurement=(("x", "m"), rows)), tmp_path / "dark.zarr")
    return tmp_path / "dark.zarr"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_diverges_fails_once_and_keeps_the_blocks_that_did_not(make_run, dark, monkeypatch, workers):
    class Told(Progress):
        tried_again = 0

        def failed(self, message):
            self.tried_again += 1

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    run = make_run(
        path=dark, solver=DIVERGING, compute={"blocks": {"x": 4}, "workers": workers}, progress=(told := Told())
    )
    with pytest.raises(RunError, match="^descent diverges: at iteration (20|30|40) of 200 values are not finite"):
        run.execute()
    assert told.tried_again == 0
    assert 1 not in run.beside.done(0)
    if workers == 1:
        assert run.beside.done(0) == [0]


def test_it_is_seen_at_the_end_too(make_run):
    with pytest.raises(RunError, match="at iteration 200 of 200"):
        make_run(solver=DIVERGING, history=1000).execute()


def test_an_objective_that_is_infinite_by_definition_is_none_of_it(make_run, monkeypatch):
    monkeypatch.setattr(toy_chain.SoftThreshold, "value", lambda self, x: torch.tensor(torch.inf))
    run = make_run(threshold=0.02)
    assert np.isfinite(run.execute()["summary"]["residual"])
    assert np.isinf(open_dataset(run.output.path)["history"].values[..., 0]).any()


def observed(x, y):
    """A history of a problem whose A is the identity, and the problem."""
    space = Space(("x",), (len(y),))
    problem = Problem(torch.tensor(y).to(space.dtype), Identity(space))
    state = State(x=torch.tensor(x).to(space.dtype), iteration=1)
    return History("descent", toy_chain.Descent(max_iter=7), 1), problem, state


def test_a_residual_relative_to_data_that_are_zero_may_be_infinite():
    history, problem, state = observed([3.0, 4.0], [0.0, 0.0])
    history(problem, state)
    assert np.isinf(history.rows[1]["residual"])  # 25 / 1e-38 is beyond single precision


@pytest.mark.parametrize("x", [[1e30, 0.0], [np.inf, 0.0], [0.0, np.nan]])
@pytest.mark.parametrize("y", [[0.0, 0.0], [1.0, 2.0]])
def test_a_misfit_that_is_not_finite_is_seen_whatever_the_data_are(x, y):
    history, problem, state = observed(x, y)
    with pytest.raises(RunError, match="descent diverges: at iteration 1 of 7"):
        history(problem, state)


def test_what_the_data_do_not_see_is_looked_at_in_the_end():
    history, problem, state = observed([1.0, 2.0], [1.0, 2.0])
    history.last(problem, state)
    state = replace(state, x=Blocks(image=state.x, kernel=torch.tensor([np.nan])))
    with pytest.raises(RunError, match="descent diverges"):
        history.check_finite(state)


def test_no_state_is_saved_from_which_nothing_can_go_on(tmp_path):
    history, _, state = observed([np.nan, 0.0], [1.0, 1.0])
    watch = Checkpoints(tmp_path / "state", "run", history, 0.0, lambda: False)
    with pytest.raises(RunError, match="descent diverges"):
        watch.save(state)
    assert not watch.path.exists()
    watch.save(replace(state, x=torch.ones(2)))
    assert watch.path.exists()


def test_nor_does_python_get_an_estimate_that_is_none():
    image = xr.Dataset({"measurement": (("y", "x"), np.ones((8, 8), np.float32))})
    with pytest.raises(RunError, match="^gradient-descent diverges: at iteration 200 of 200"):
        preimage.reconstruct(
            image,
            operator="identity",
            solver={"use": "gradient-descent", "rule": "fixed", "step": 5.0, "max_iter": 200},
        )
