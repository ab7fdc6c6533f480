"""Runs from Zarr to Zarr: blocks agree, interrupted runs go on, and every result carries its record."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from support import toy_chain
from support.crashing import CrashAfter

from preimage.errors import DataError, RequestError, RunError
from preimage.randomness import Draw
from preimage.volumes import driver, stores
from preimage.volumes.progress import Progress
from preimage.volumes.stores import open_dataset, write_dataset

BLOCKS = {"blocks": {"x": 4}}


def estimate(run):
    return open_dataset(run.output.path)["estimate"].values


def least_squares():
    """The oracle: every row by itself."""
    data = toy_chain.example(hybrid=True)
    return data["measurement"].values @ np.linalg.pinv(data["matrix"].values.astype(complex)).T


@pytest.mark.parametrize("compute", [None, BLOCKS, {"blocks": {"x": 5}, "memory": "745 MiB"}])
def test_a_run_solves_every_row(make_run, compute):
    run = make_run(compute=compute, solver={"max_iter": 2000})
    record = run.execute()
    np.testing.assert_allclose(estimate(run), least_squares(), rtol=1e-4, atol=1e-4)
    assert record["summary"]["iterations"] == 2000
    assert record["summary"]["nrmse"] < 0.1


def test_blockings_are_equal_where_the_solver_does_not_couple(make_run):
    whole, blocks = make_run("a.zarr", threshold=0.02), make_run("b.zarr", compute=BLOCKS, threshold=0.02)
    whole.execute()
    blocks.execute()
    # the scale and the norm are the run's, so only the rounding of one FFT and matrix product in other shapes remains
    np.testing.assert_allclose(estimate(blocks), estimate(whole), rtol=2e-5, atol=2e-5)
    assert (estimate(whole) == 0).any()  # the threshold bites


def test_numbers_of_one_block_would_not_do(make_run, monkeypatch):
    whole, blocks = make_run("a.zarr", threshold=0.02), make_run("b.zarr", compute=BLOCKS, threshold=0.02)
    whole.execute()
    real = driver.Run._reduce

    def of_the_first_block_only(self, engine, index):
        numbers = real(self, engine, index)
        return {**numbers, "scale": numbers["scale"] * 0.1}

    monkeypatch.setattr(driver.Run, "_reduce", of_the_first_block_only)
    blocks.execute()
    assert np.abs(estimate(blocks) - estimate(whole)).max() > 1e-2


@pytest.mark.parametrize("scale", [1e-8, 1e6])
def test_weights_mean_the_same_in_any_units(tmp_path, make_run, scale):
    path = tmp_path / "scaled.zarr"
    write_dataset(toy_chain.example(scale=scale), path)
    plain, scaled = make_run("a.zarr", threshold=0.02), make_run("b.zarr", path=path, threshold=0.02)
    plain.execute()
    scaled.execute()
    np.testing.assert_allclose(estimate(scaled) / scale, estimate(plain), rtol=1e-4, atol=1e-4)
    raw = make_run("c.zarr", path=path, threshold=0.02, compute={"normalise": False})
    raw.execute()
    assert np.abs(estimate(raw) / scale - estimate(plain)).max() > 1e-3


def test_a_preparation_is_fitted_once_and_stored(make_run):
    toy_chain.Gain.fits = 0
    run = make_run(compute=BLOCKS, gain=True, solver={"max_iter": 2000})
    run.execute()
    assert toy_chain.Gain.fits == 1
    gain = open_dataset(run.output.path / "calibration" / "1")["gain"].item()
    level = np.abs(toy_chain.example(hybrid=True)["measurement"].values[:, :2]).mean()
    assert gain == pytest.approx(level, rel=1e-5)
    np.testing.assert_allclose(estimate(run) * gain, least_squares(), rtol=1e-4, atol=1e-4)
    fused = make_run("fused.zarr", gain=True, solver={"max_iter": 2000})  # fitted through the transform before it
    fused.execute()
    assert toy_chain.Gain.fits == 2
    np.testing.assert_allclose(estimate(fused), estimate(run), rtol=1e-4, atol=1e-4)


def test_the_store_is_readable_by_any_xarray_and_has_the_geometry(make_run):
    run = make_run(compute=BLOCKS)
    run.execute()
    stored = xr.open_zarr(run.output.path, consolidated=False)
    assert stored["estimate"].dims == ("x", "n")
    assert stored["estimate"].dtype == np.complex64
    assert stored.attrs["voxel_size"] == [1.0, 2.0]
    assert not run.beside.scratch(0).exists()


def test_the_history_has_objective_and_residual_of_every_block(make_run):
    run = make_run(compute=BLOCKS, solver={"max_iter": 25})
    run.execute()
    history = open_dataset(run.output.path)["history"]
    assert history.dims == ("block", "iteration", "quantity")
    assert history.attrs["iterations"] == [10, 20, 25]
    assert history.attrs["quantities"] == ["objective", "residual"]
    assert np.isfinite(history.values).all()
    assert (np.diff(history.values[:, :, 0], axis=1) <= 0).all()


def test_the_record_says_what_made_the_result(make_run, stored):
    run = make_run(seed=3)
    run.execute()
    record = stores.read_attributes(run.output.path)
    assert record["finished"]
    assert record["recipe"]["seed"] == record["seed"] == 3
    assert record["scalars"].keys() == {"scale", "norm"}
    assert record["versions"]["torch"] == torch.__version__
    assert record["device"] == "cpu"
    assert record["identity"]["inputs"]["1 loader stored.path"]["path"] == str(stored)
    assert record["plan"]["stages"][-1]["solves"]
    names = [part["name"] for part in record["parts"]]
    assert names == ["stored", "row-transform", "rows", "gaussian", "descent"]  # what was proposed is there too
    assert {"psnr", "nrmse", "residual", "iterations", "seconds", "peak_mib"} <= record["summary"].keys()


def test_metrics_are_those_of_the_whole_image(make_run):
    run = make_run(compute=BLOCKS)
    summary = run.execute()["summary"]
    truth, found = toy_chain.example()["truth"].values, estimate(run)
    assert summary["nrmse"] == pytest.approx(np.linalg.norm(found - truth) / np.linalg.norm(truth), rel=1e-6)
    y, matrix = toy_chain.example(hybrid=True)["measurement"].values, toy_chain.example()["matrix"].values
    assert summary["residual"] == pytest.approx(np.linalg.norm(found @ matrix.T - y) / np.linalg.norm(y), rel=1e-4)


def test_held_out_samples_are_kept_from_the_solver_and_judge_it(tmp_path, make_run):
    data = toy_chain.example(hybrid=True, m=8)
    held = np.zeros(8, bool)
    held[2] = True
    path = tmp_path / "held.zarr"
    write_dataset(data.assign(mask=("m", ~held), held_out=("m", held)), path)
    run = make_run(path=path, compute=BLOCKS, solver={"max_iter": 3000})
    summary = run.execute()["summary"]
    matrix, y = data["matrix"].values.astype(complex), data["measurement"].values
    expected = y[:, ~held] @ np.linalg.pinv(matrix[~held]).T
    np.testing.assert_allclose(estimate(run), expected, rtol=1e-3, atol=1e-3)
    wrong = expected @ matrix[held].T - y[:, held]
    assert summary["held_out_nmse"] == pytest.approx(
        (np.abs(wrong) ** 2).sum() / (np.abs(y[:, held]) ** 2).sum(), rel=1e-2
    )


def test_a_missing_measurement_is_simulated_and_does_not_depend_on_blocks(tmp_path, make_run):
    path = tmp_path / "truth.zarr"
    data = toy_chain.example(hybrid=True)
    write_dataset(data.drop_vars("measurement"), path)
    simulate = {"noise": 0.1}
    whole = make_run("a.zarr", path=path, simulate=simulate)
    blocks = make_run("b.zarr", path=path, simulate=simulate, compute=BLOCKS)
    assert blocks.plan.solve.labels == ("simulate", "descent")
    whole.execute()
    blocks.execute()
    np.testing.assert_allclose(estimate(blocks), estimate(whole), rtol=2e-5, atol=2e-5)
    region = {"x": (4, 8)}
    from preimage.volumes.tasks.worker import open_worker

    y = (
        open_worker(blocks.output.path, blocks.builder, resolved=blocks.resolved)
        .prepared(0, region)[0]["measurement"]
        .values
    )
    clean = (data["truth"].values @ data["matrix"].values.T)[4:8]
    std = float(np.sqrt((np.abs(y - clean) ** 2).mean()))
    assert std == pytest.approx(0.1, rel=5 / np.sqrt(y.size))
    drawn = Draw(blocks.resolved.elements[0].preparation.seed, (4, 0), (12, 6)).normal((4, 6), torch.complex64)
    np.testing.assert_allclose(y, clean + 0.1 * drawn.numpy(), rtol=1e-4, atol=1e-5)
    other = make_run("c.zarr", path=path, simulate=simulate, seed=1)
    other.execute()
    assert np.abs(estimate(other) - estimate(whole)).max() > 1e-3


def test_random_solvers_give_the_same_result_again_and_another_with_another_seed(make_run):
    runs = [make_run(f"{i}.zarr", seed=seed, solver={"noise": 0.1}, compute=BLOCKS) for i, seed in enumerate((5, 5, 6))]
    for run in runs:
        run.execute()
    assert np.array_equal(estimate(runs[0]), estimate(runs[1]))
    assert not np.array_equal(estimate(runs[0]), estimate(runs[2]))


# --- interrupted runs ---------------------------------------------------------------------------------------------


def test_a_finished_run_is_not_computed_again(make_run):
    run = make_run(compute=BLOCKS)
    first = run.execute()
    times = [p.stat().st_mtime_ns for p in sorted(run.beside.folder.rglob("*.json"))]
    assert make_run(compute=BLOCKS).execute() == json.loads(json.dumps(first)) | {"schema": stores.SCHEMA}
    assert [p.stat().st_mtime_ns for p in sorted(run.beside.folder.rglob("*.json"))] == times


def test_resume_computes_only_what_is_missing(make_run):
    whole = make_run("whole.zarr", compute=BLOCKS, gain=True)
    whole.execute()
    with pytest.raises(RuntimeError, match="crash"):
        make_run(compute=BLOCKS, gain=True, progress=CrashAfter(3)).execute()
    run = make_run(compute=BLOCKS, gain=True)
    done = {p: p.stat().st_mtime_ns for p in run.beside.folder.glob("[0-9]*/[0-9]*.json")}
    assert len(done) == 3  # the transform, and two of three blocks
    run.execute()
    assert all(p.stat().st_mtime_ns == t for p, t in done.items())
    assert np.array_equal(estimate(run), estimate(whole))


SCRIPT = """
import json, sys
from preimage.volumes.driver import Run
from support import toy_chain
recipe = json.loads(sys.argv[1])
Run(toy_chain.build(recipe), "support.toy_chain:build", recipe).execute()
"""


def start(recipe):
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, json.dumps(recipe)], env=env, stderr=subprocess.PIPE)


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_run_killed_inside_a_block_goes_on_from_its_state_and_ends_bitwise_equal(stored, tmp_path, make_run, sent):
    options = {"solver": {"max_iter": 60, "noise": 0.1, "pause": 0.02}, "compute": {**BLOCKS, "checkpoint": 0.1}}
    quick = {**options, "solver": {**options["solver"], "pause": 0.0}}
    whole = make_run("whole.zarr", **quick)
    whole.execute()
    run = make_run("killed.zarr", **options)
    process = start(toy_chain.recipe(stored, tmp_path / "killed.zarr", **options))
    wait_for(lambda: run.beside.state(1, 1).exists())
    process.send_signal(sent)
    process.communicate(timeout=30)
    assert run.beside.marker(1, 0).exists()
    assert not run.beside.marker(1, 1).exists()
    marked = run.beside.marker(1, 0).stat().st_mtime_ns
    run.execute()
    assert run.beside.marker(1, 0).stat().st_mtime_ns == marked
    assert run.beside.read(1, 1)["resumed_from"] > 0
    assert run.beside.read(1, 2)["resumed_from"] is None
    assert np.array_equal(estimate(run), estimate(whole))
    one, other = (open_dataset(r.output.path)["history"].values for r in (run, whole))
    assert np.array_equal(one, other)
    assert not run.beside.state(1, 1).exists()


# --- bad input, full disks ----------------------------------------------------------------------------------------


def test_an_output_of_other_settings_is_kept_and_the_difference_named(make_run):
    make_run(seed=1, solver={"max_iter": 3}).execute()
    with pytest.raises(
        RequestError, match=r"holds a run with other settings:\n  recipe.options.solver.max_iter: 3, now 4"
    ):
        make_run(seed=1, solver={"max_iter": 4}).execute()
    before = estimate(make_run())
    run = make_run(seed=1, solver={"max_iter": 4})
    run.execute(fresh=True)
    assert not np.array_equal(estimate(run), before)


def test_changed_data_are_other_data(make_run, stored):
    make_run().execute()
    write_dataset(toy_chain.example(noise=0.5), stored, overwrite=True)
    with pytest.raises(RequestError, match="inputs.1 loader stored.path"):
        make_run().execute()


def test_values_that_changed_in_place_are_other_data(make_run, stored):
    make_run().execute()
    stores.open_for_writing(stored, "measurement")[:2] = 0
    with pytest.raises(RequestError, match="inputs.1 loader stored.path.digest"):
        make_run().execute()


def test_an_output_that_is_something_else_is_not_touched(tmp_path, make_run):
    (tmp_path / "out.zarr").mkdir()
    (tmp_path / "out.zarr" / "thesis.txt").write_text("years of work")
    with pytest.raises(RequestError, match="is not a Zarr group"):
        make_run().execute()
    assert (tmp_path / "out.zarr" / "thesis.txt").exists()


def test_not_even_fresh_replaces_what_is_no_run(stored, make_run, tmp_path):
    run = make_run(stored.name)  # the output is the dataset itself
    with pytest.raises(RequestError, match="is a dataset and not the store of a run"):
        run.execute(fresh=True)
    assert open_dataset(stored)["measurement"].size


def test_a_store_whose_creation_was_interrupted_is_made_anew(make_run, monkeypatch):
    def crash(*args):
        raise RuntimeError("crash")

    with monkeypatch.context() as context:
        context.setattr(stores, "write_attributes", crash)
        with pytest.raises(RuntimeError, match="crash"):
            make_run().execute()
    assert make_run().execute()["finished"]


def test_values_that_are_not_finite_are_located(tmp_path, make_run):
    data = toy_chain.example(hybrid=True)
    data["measurement"].values[7, 2] = np.nan
    path = tmp_path / "nan.zarr"
    write_dataset(data, path)
    with pytest.raises(RunError, match=r"1 values that are not finite, the first in this block at \{'x': 3, 'm': 2\}"):
        make_run(path=path, compute={**BLOCKS, "normalise": False}).execute()


def masked(data, mask):
    return data.assign(mask=("m", mask))


def test_what_is_not_measured_may_be_anything(tmp_path, make_run):
    data, mask = toy_chain.example(hybrid=True, m=8), np.ones(8, bool)
    mask[3] = False
    write_dataset(masked(data, mask), tmp_path / "clean.zarr")
    data["measurement"].values[:, 3] = np.nan
    write_dataset(masked(data, mask), tmp_path / "nan.zarr")
    runs = [make_run(f"{name}-out.zarr", path=tmp_path / f"{name}.zarr") for name in ("clean", "nan")]
    for run in runs:
        run.execute()
    assert np.array_equal(estimate(runs[0]), estimate(runs[1]))


def test_samples_are_held_out_only_where_the_operator_can_leave_them_out(tmp_path, make_run, monkeypatch):
    path = tmp_path / "held.zarr"
    write_dataset(toy_chain.example(hybrid=True).assign(held_out=("m", np.arange(6) == 2)), path)
    build = toy_chain.build

    def without_a_mask(recipe):
        chain = build(recipe)
        chain.operator.uses = ()
        return chain

    monkeypatch.setattr(toy_chain, "build", without_a_mask)
    with pytest.raises(DataError, match="operator rows uses no mask"):
        make_run(path=path)


def test_a_mask_that_the_operator_does_not_use_changes_nothing(tmp_path, make_run, monkeypatch):
    data = toy_chain.example(hybrid=True)
    write_dataset(data, tmp_path / "plain.zarr")
    write_dataset(masked(data, np.arange(6) > 2).rename(matrix="other"), tmp_path / "odd.zarr")
    plain = make_run("plain-out.zarr", path=tmp_path / "plain.zarr")
    plain.execute()
    build = toy_chain.build

    def maskless(recipe):
        chain = build(recipe)
        make = chain.operator.factory
        chain.operator.uses = ()
        chain.operator.requires = {}
        chain.operator.factory = lambda dataset, shared: make(dataset.drop_vars("mask").rename(other="matrix"), shared)
        spaces = chain.operator.hooks["preimage_spaces"]
        chain.operator.hooks["preimage_spaces"] = lambda dataset: spaces(dataset.rename(other="matrix"))
        return chain

    monkeypatch.setattr(toy_chain, "build", maskless)
    odd = make_run("odd-out.zarr", path=tmp_path / "odd.zarr")
    odd.execute()
    assert np.array_equal(estimate(odd), estimate(plain))


def test_what_a_prior_requires_is_checked_before_the_run(make_run, monkeypatch):
    build = toy_chain.build

    def demanding(recipe):
        chain = build(recipe)
        chain.priors[0].requires = {"anatomy": ("x",)}
        return chain

    monkeypatch.setattr(toy_chain, "build", demanding)
    with pytest.raises(DataError, match="prior soft needs a variable 'anatomy'"):
        make_run(threshold=0.1)


def test_an_empty_measurement_is_named(tmp_path, make_run):
    data = toy_chain.example(hybrid=True)
    path = tmp_path / "zero.zarr"
    write_dataset(data.assign(measurement=data["measurement"] * 0), path)
    with pytest.raises(RunError, match="Aᴴy is zero everywhere"):
        make_run(path=path).execute()


def test_a_full_disk_keeps_finished_blocks_and_the_run_goes_on(make_run, monkeypatch):
    real, calls = stores.open_for_writing, []

    def full_after_two(path, name):
        if name == "estimate":
            calls.append(1)
            if len(calls) == 3:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(path, name)

    monkeypatch.setattr(stores, "open_for_writing", full_after_two)
    run = make_run(compute=BLOCKS)
    with pytest.raises(RunError, match="the disk is full. Finished blocks are kept"):
        run.execute()
    assert [run.beside.marker(1, b).exists() for b in range(3)] == [True, True, False]
    run = make_run(compute=BLOCKS)
    run.execute()
    whole = make_run("whole.zarr", compute=BLOCKS)
    whole.execute()
    assert np.array_equal(estimate(run), estimate(whole))


def test_a_damaged_input_is_named(make_run, stored):
    chunk = next(p for p in (stored / "measurement" / "c").rglob("*") if p.is_file())
    raw = bytearray(chunk.read_bytes())
    raw[-10] ^= 4
    chunk.write_bytes(raw)
    with pytest.raises(RunError, match="the values of 'measurement' could not be read"):
        make_run().execute()


def test_a_calibration_that_was_interrupted_is_done_again(make_run, monkeypatch):
    real = stores.write_dataset

    def crash(dataset, path, **kwargs):
        real(dataset, path, **kwargs)
        raise RuntimeError("crash")

    with monkeypatch.context() as context:
        context.setattr(stores, "write_dataset", crash)
        with pytest.raises(RuntimeError, match="crash"):
            make_run(compute=BLOCKS, gain=True).execute()
    toy_chain.Gain.fits = 0
    assert make_run(compute=BLOCKS, gain=True).execute()["finished"]
    assert toy_chain.Gain.fits == 1


def test_without_its_markers_an_unfinished_run_begins_anew(make_run):
    whole = make_run("whole.zarr", compute=BLOCKS)
    whole.execute()
    with pytest.raises(RuntimeError, match="crash"):
        make_run(compute=BLOCKS, progress=CrashAfter(2)).execute()
    run = make_run(compute=BLOCKS)
    run.beside.clear()
    run.execute()
    assert np.array_equal(estimate(run), estimate(whole))


class Interrupt(Progress):
    """Sends Ctrl-C when the first block is done."""

    def finished_block(self, record, facts):
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_between_blocks_stops_before_the_next(make_run):
    run = make_run(compute=BLOCKS, progress=Interrupt())
    with pytest.raises(KeyboardInterrupt):
        run.execute()
    assert run.beside.marker(0, 0).exists()
    assert not any(run.beside.marker(1, block).exists() for block in range(3))
    assert not (run.output.path / "calibration" / "1").exists()


@pytest.mark.parametrize("value", [0, np.nan])
def test_a_truth_that_nothing_can_be_compared_with_is_left_out(tmp_path, make_run, value):
    data = toy_chain.example(hybrid=True)
    path = tmp_path / "odd.zarr"
    write_dataset(data.assign(truth=data["truth"] * 0 + value), path)
    summary = make_run(path=path).execute()["summary"]
    assert "psnr" not in summary
    assert summary["residual"] > 0


def test_blocks_are_written_in_whole_write_units_only(make_run):
    run = make_run(compute=BLOCKS)
    run.execute()
    array = stores.open_for_writing(run.output.path, "estimate")
    stores.check_whole_units(array, "estimate", ("x", "n"), {"x": slice(8, 12)})
    with pytest.raises(RequestError, match="2:6 along 'x' is no whole write units of estimate, which are 4"):
        stores.check_whole_units(array, "estimate", ("x", "n"), {"x": slice(2, 6)})


def test_a_device_that_is_not_there_is_named(make_run):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RequestError, match='compute.device = "cuda:3" is not there: this machine has no GPU'):
        make_run(compute={"device": "cuda:3"})


def test_a_missing_dataset_is_named(tmp_path, make_run):
    with pytest.raises(RequestError, match="does not exist"):
        make_run(path=tmp_path / "nothing.zarr")
