"""Runs of the same data side by side."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from PIL import Image
from support.terminal import shown_at_a_terminal

import preimage
from preimage_registry.results.compared import open_runs
from preimage_registry.results.table import comparison

STRONG = ("--set", "prior.1.weight=0.2", "--set", "output.path=strong.zarr")
PLAIN = ("--set", "prior=[]", "--set", 'solver={use="minimum-norm"}', "--set", "output.path=plain.zarr")


@pytest.fixture
def three(scan):
    """A shell with three runs of one volume."""
    for options in ((), STRONG, PLAIN):
        scan("run", "scan.toml", *options)
    return scan


def cells(said):
    """The printed table as a dict of columns, cells by run."""
    titles, *rows = said.splitlines()
    starts = [titles.index(title) for title in titles.split("  ") if title]
    cut = [[row[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)] for row in rows]
    names = [titles[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
    return {name: {row[0]: row[i] for row in cut} for i, name in enumerate(names)}


def test_the_table_shows_what_differs_and_what_came_of_it(three):
    table = cells(three("compare", "out.zarr", "strong.zarr", "plain.zarr"))
    assert [*table] == [
        *("run", "prior", "solver", "prior.1.weight"),
        *("PSNR", "SSIM", "NRMSE", "residual", "iterations", "time", "peak memory"),
    ]
    assert table["prior"] == {"out": "sparsity", "strong": "sparsity", "plain": ""}
    assert table["solver"] == {"out": "fista", "strong": "fista", "plain": "minimum-norm"}
    assert table["prior.1.weight"] == {"out": "0.1", "strong": "0.2", "plain": ""}
    summaries = {
        name: preimage.open_dataset(f"{name}.zarr").attrs["preimage"]["summary"] for name in ("out", "strong", "plain")
    }
    best = max(summaries, key=lambda name: summaries[name]["psnr"])
    for name, summary in summaries.items():
        assert table["PSNR"][name] == f"{summary['psnr']:.2f} dB" + ("*" if name == best else "")
        assert table["residual"][name] == f"{summary['residual']:.4g}"  # of which none is best
    assert table["NRMSE"][min(summaries, key=lambda name: summaries[name]["nrmse"])].endswith("*")


def test_runs_that_differ_in_nothing_have_no_best(scan):
    for name in ("one", "two"):
        scan("run", "scan.toml", "--set", f"output.path={name}.zarr")
    table = comparison(open_runs([scan.folder / "one.zarr", scan.folder / "two.zarr"]))
    assert table.titles[:4] == ["run", "prior", "solver", "PSNR"]
    assert not {table.titles[column] for _, column in table.best} & {"PSNR", "SSIM", "NRMSE", "iterations"}


def test_every_unknown_has_its_numbers(scan):
    for name, psnr in (("one", 20.0), ("two", 30.0)):
        scan("run", "scan.toml", "--set", f"output.path={name}.zarr")
        group = zarr.open_group(scan.folder / f"{name}.zarr", mode="r+")
        record = group.attrs["preimage"]
        record["summary"] = {"psnr_image": psnr, "psnr_kernel": 50.0 - psnr, "iterations": 5, "other": 1}
        group.attrs["preimage"] = record
    table = comparison(open_runs([scan.folder / "one.zarr", scan.folder / "two.zarr"]))
    assert table.titles == ["run", "prior", "solver", "PSNR image", "PSNR kernel", "iterations"]
    assert table.best == {(1, 3), (0, 4)}


def test_a_run_that_diverged_is_best_in_nothing(scan):
    """Of those that earlier versions stored; a PSNR may be infinite."""
    summaries = {
        "one": {"psnr": math.inf, "residual": 0.1, "seconds": 9.0, "peak_mib": 30.0},
        "two": {"psnr": 20.0, "residual": 0.2, "seconds": 5.0, "peak_mib": 40.0},
        "lost": {"psnr": math.nan, "residual": math.nan, "seconds": 1.0, "peak_mib": 20.0},
    }
    for name, summary in summaries.items():
        scan("run", "scan.toml", "--set", f"output.path={name}.zarr")
        group = zarr.open_group(scan.folder / f"{name}.zarr", mode="r+")
        group.attrs["preimage"] = {**group.attrs["preimage"], "summary": summary}
    table = comparison(open_runs([scan.folder / f"{name}.zarr" for name in summaries]))
    best = {table.titles[column]: table.rows[row][0] for row, column in table.best}
    assert best == {"PSNR": "one", "time": "two", "peak memory": "one"}


def test_stores_of_one_name_are_told_apart_by_their_folders(scan):
    for name in ("a/run", "b/run"):
        scan("run", "scan.toml", "--set", f"output.path={name}.zarr")
    assert [*cells(scan("compare", "a/run.zarr", "b/run.zarr"))["run"]] == ["a/run", "b/run"]
    assert "a/run.zarr is named twice" in scan("compare", "a/run.zarr", "a/run.zarr", code=2)


def grey(path):
    return np.asarray(Image.open(path).convert("L"), dtype=float)


def pictures(path):
    """(top, bottom, left, right) of the pictures of a figure, row by row: what is not its white paper."""
    from scipy import ndimage

    dark = np.pad(grey(path) < 250, 1)
    labels, _ = ndimage.label(ndimage.binary_closing(dark, iterations=3))
    found = [(s[0].start, s[0].stop, s[1].start, s[1].stop) for s in ndimage.find_objects(labels)]
    large = [box for box in found if box[1] - box[0] > 100 and box[3] - box[2] > 100]
    rows = sorted({box[0] // 20 for box in large})
    return [[box for box in sorted(large, key=lambda b: b[2]) if box[0] // 20 == row] for row in rows]


def test_the_figure_has_truth_runs_and_errors_of_three_planes(three):
    said = three("compare", "out.zarr", "strong.zarr", "plain.zarr", "--output", "figure.png")
    assert "truth" not in said
    rows = pictures(three.folder / "figure.png")
    assert [len(row) for row in rows] == [4, 3] * 3  # truth and three runs; three errors
    sizes = {(box[1] - box[0], box[3] - box[2]) for box in rows[2]}
    ((height, width),) = sizes  # z–y, in voxels of 1 × 1
    assert height / width == pytest.approx(12 / 10, rel=0.03)
    (top, bottom, left, right) = rows[4][0]  # z–x, in voxels of 1 × 2
    assert (bottom - top) / (right - left) == pytest.approx(12 / (6 * 2), rel=0.03)


def test_all_pictures_are_on_one_scale(scan):
    """A run with half the values is half as bright."""
    scan("run", "scan.toml", "--set", "simulate.noise=0", "--set", "prior.1.weight=1e-12")
    scan("run", "scan.toml", "--set", "simulate.noise=0", *PLAIN)
    half(scan.folder / "plain.zarr")
    scan("compare", "out.zarr", "plain.zarr", "-o", "figure.png")
    image = grey(scan.folder / "figure.png")
    centres = [
        [image[(t + b) // 2, (le + r) // 2] for t, b, le, r in row] for row in pictures(scan.folder / "figure.png")[:1]
    ]
    np.testing.assert_allclose(centres, [[255, 255, 127.5]], atol=2)  # a step of 256 either way, and rounding


def half(store):
    estimate = zarr.open_group(store, mode="r+")["estimate"]
    estimate[...] = 0.5 * estimate[...]


def test_without_the_data_there_is_a_figure_without_a_truth(three):
    (three.folder / "data.zarr").rename(three.folder / "moved.zarr")
    said = three("compare", "out.zarr", "plain.zarr", "-o", "figure.svg")
    assert "the figure is drawn without a truth: " in said
    assert "data.zarr is gone" in said
    assert (three.folder / "figure.svg").read_text().startswith("<?xml")


def test_runs_of_other_data_are_refused(scan):
    scan("run", "scan.toml")
    other = preimage.open_dataset(scan.folder / "data.zarr").load()
    preimage.write_dataset(other, scan.folder / "copy.zarr")
    scan("run", "scan.toml", "--set", "loader.path=copy.zarr", "--set", "output.path=copied.zarr")
    said = scan("compare", "out.zarr", "copied.zarr", code=2)
    assert "out.zarr and copied.zarr cannot be compared, their data differ:\n  loader.path: " in said
    preimage.write_dataset(other, scan.folder / "data.zarr", overwrite=True)
    scan("run", "scan.toml", "--set", "output.path=again.zarr")
    scan("compare", "out.zarr", "again.zarr")  # the same data, written anew
    preimage.write_dataset(-other, scan.folder / "data.zarr", overwrite=True)
    scan("run", "scan.toml", "--set", "output.path=later.zarr")
    assert "data.zarr changed between the runs" in scan("compare", "out.zarr", "later.zarr", code=2)


def test_runs_of_another_shape_are_refused(scan):
    scan("run", "scan.toml")
    flat = xr.Dataset({"truth": (("z", "y"), np.ones((16, 16), np.float32))})
    preimage.write_dataset(flat, scan.folder / "flat.zarr")
    scan(
        "run",
        "scan.toml",
        "--set",
        "loader.path=flat.zarr",
        "--set",
        "compute.blocks={}",
        "--set",
        "output.path=f.zarr",
    )
    said = scan("compare", "out.zarr", "f.zarr", code=2)
    assert "loader.path: " in said
    assert "estimate: x 6, z 12, y 10 and z 16, y 16" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.zarr"], "nowhere.zarr does not exist"),
        (["data.zarr"], "is a dataset and not the store of a run"),
        (["out.zarr", "-o", "figure.bmp"], "a figure's name ends in .png, .pdf or .svg"),
        (["out.zarr", "-o", "nowhere/figure.png"], "--output nowhere/figure.png cannot be written"),
        ([], "Missing argument"),
    ],
)
def test_a_wrong_request_is_one_clear_error(scan, arguments, words):
    if "out.zarr" in arguments:
        scan("run", "scan.toml")
    assert words in scan("compare", *arguments, code=2)


def test_a_signal_is_drawn_as_a_curve(scan):
    line = np.zeros(40, np.float32)
    line[10:20] = 1
    preimage.write_dataset(xr.Dataset({"truth": (("x",), line)}), scan.folder / "line.zarr")
    scan("run", "scan.toml", *PLAIN, "--set", "loader.path=line.zarr", "--set", "compute.blocks={}")
    scan("compare", "plain.zarr", "-o", "figure.png")
    assert [len(row) for row in pictures(scan.folder / "figure.png")] == [2, 1]


def test_the_best_are_bold_at_a_terminal(three):
    command = [Path(sys.executable).with_name("preimage"), "compare", "out.zarr", "strong.zarr", "plain.zarr"]
    shown = shown_at_a_terminal(command, three.folder, TERM="xterm", COLUMNS="200")
    runs = open_runs([three.folder / f"{name}.zarr" for name in ("out", "strong", "plain")])
    best = max(run.summary["psnr"] for run in runs)
    assert f"\x1b[1m{best:.2f} dB" in shown
