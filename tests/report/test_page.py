"""Every run writes one file that a browser shows without anything else, whatever its data and names are."""

import logging
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from support import toy_chain
from support.documents import Document, check
from support.toy_chain import ToyPart

import preimage.report.page
from preimage.data import variable
from preimage.operators import LinearOperator
from preimage.report import report_path
from preimage.report.page import _convergence
from preimage.report.tables import summary_table
from preimage.space import Blocks, ProductSpace, Space
from preimage.volumes.stores import open_dataset

BLOCKS = {"blocks": {"x": 4}}
HOSTILE = "<script>alert(1)</script>\"'&<img src=http://evil/x onerror=y>"


def report(run):
    return report_path(run.output.path)


def execute(run):
    """The record of a run, and its report."""
    record = run.execute()
    return record, check(report(run).read_text(encoding="utf-8"))


@pytest.mark.parametrize("compute", [None, BLOCKS])
def test_a_run_with_a_truth_shows_its_numbers_its_pictures_and_its_record(make_run, compute):
    run = make_run(compute=compute, gain=True, threshold=0.02)
    record, page = execute(run)
    assert page.text_of("h1") == ["rows · soft · descent"]
    assert page.text_of("h2") == ["Summary", "Estimate", "Convergence", "Plan", "Record"]
    cells = page.text_of("td")
    assert {"psnr", "nrmse", "residual", "iterations", "seconds", "peak_mib"} <= record["summary"].keys()
    assert summary_table(record["summary"])[1] == [cells[: len(record["summary"])]]
    assert {"numpy", "torch", "seed", "scale", "norm"} <= set(page.text_of("th"))
    assert record["identity"]["inputs"]["1 loader stored.path"]["digest"] in cells
    assert record["versions"]["torch"] in cells
    assert ("x 4 of 12" in cells) == (compute is not None)
    pictures = [(alt, picture) for alt, picture in page.pictures() if not alt.startswith("scale")]
    assert len(pictures) == 5
    assert {picture.size for _, picture in pictures} == {(4, 12)}
    (chart,) = [image for image in page.of("img") if "svg" in image["src"]]
    assert chart["alt"].startswith("objective and residual")


def test_pictures_are_those_of_the_stored_estimate_and_of_the_truth(make_run):
    run = make_run(compute=BLOCKS, solver={"max_iter": 3})
    _, page = execute(run)
    estimate = np.abs(open_dataset(run.output.path)["estimate"].values)
    truth = np.abs(toy_chain.example()["truth"].values)
    white = max(estimate.max(), truth.max())
    pictures = {alt.partition(":")[0]: np.asarray(picture) for alt, picture in page.pictures()}
    for name, values in (("estimate", estimate), ("truth", truth)):
        level = pictures[f"{name}, magnitude"][..., 0]
        np.testing.assert_allclose(level / 255, values / white, atol=0.5 / 255 + 1e-6)  # half a grey level


def test_a_run_without_a_truth_has_no_error(make_run):
    record, page = execute(make_run(dataset=toy_chain.example().drop_vars("truth")))
    assert "psnr" not in record["summary"]
    captions = page.text_of("figcaption")
    assert captions == ["magnitude", "phase in rad", "estimate, magnitude", "estimate, phase"]


def test_a_run_of_one_iteration_has_numbers_and_no_curve(make_run):
    _, page = execute(make_run(solver={"max_iter": 1}, compute=BLOCKS))
    assert not [image for image in page.of("img") if "svg" in image["src"]]
    assert "objective" in page.text_of("th")


def history(values):
    attributes = {"iterations": [10, 20], "quantities": ["objective", "residual"]}
    return xr.DataArray(np.array(values), dims=("block", "iteration", "quantity"), attrs=attributes)


def test_a_quantity_that_is_not_known_at_an_end_is_left_blank():
    nan = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of_two = _convergence(history([[[3.0, 1.0], [nan, nan]], [[1.0, nan], [nan, 4.0]]]), [20, 20])[-1]
    cells = Document(f"<!DOCTYPE html>\n{of_two}").text_of("td")
    assert cells == ["2", "", "", "", "1", "4", "4", "4"]


def test_of_one_block_a_quantity_has_no_range():
    of_one = _convergence(history([[[3.0, 1.0], [2.0, 0.5]]]), [20])[-1]
    assert Document(f"<!DOCTYPE html>\n{of_one}").text_of("th") == [
        "quantity",
        "at 10",
        "at 20",
        "objective",
        "residual",
    ]


def test_another_run_is_not_mixed_up_with_this_one(make_run):
    one, other = make_run("a.zarr"), make_run("b.zarr", seed=1)
    one.execute()
    other.execute()
    assert report(one) != report(other)
    assert "seed = 1" in report(other).read_text()
    assert not any(path.suffix == ".html" for path in one.output.path.rglob("*"))  # the store is Zarr's alone


# --- several unknowns ---------------------------------------------------------------------------------------------


class Offset(LinearOperator):
    """y = image + offset of every column."""

    def __init__(self, image, offset):
        self.names = image, offset
        spaces = {image: Space(("x", "n"), (6, 4)), offset: Space(("n",), (4,))}
        super().__init__(ProductSpace(**spaces), Space(("x", "n"), (6, 4)))

    def _apply(self, x):
        image, offset = self.names
        return x[image] + x[offset]

    def _apply_adjoint(self, y):
        image, offset = self.names
        return Blocks({image: y.clone(), offset: y.sum(-2)})


def with_offset(image, offset):
    made = Offset(image, offset)
    hooks = {
        "preimage_spaces": lambda **_: (made.domain, made.codomain),
        "preimage_unknowns": lambda **_: made.names,
    }
    part = ToyPart("operator", "offset", lambda **_: made, declared=Offset, hooks=hooks)
    return lambda chain: replace(chain, operator=part)


def offset_data(image, offset):
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(6, 4, dtype=torch.complex64, generator=generator)
    level = torch.randn(4, dtype=torch.complex64, generator=generator)
    values = {"measurement": truth + level, f"truth_{image}": truth, f"truth_{offset}": level}
    return xr.Dataset({name: variable(one, ("x", "n")[-one.ndim :]) for name, one in values.items()})


@pytest.mark.parametrize("names", [("image", "offset"), ("<b>&amp;\"'", "</pre><img src=http>")])
def test_every_unknown_is_shown(make_run, names):
    names = [name.replace("/", "⁄") for name in names]  # a slash cannot be in the name of an array
    run = make_run(
        dataset=offset_data(*names), change=with_offset(*names), compute={"normalise": False}, solver={"max_iter": 20}
    )
    _, page = execute(run)
    assert page.text_of("h3")[:2] == names
    assert page.text_of("h4") == ["x–n, voxels drawn square"]
    pictures = [alt for alt, _ in page.pictures() if not alt.startswith("scale")]
    assert len(pictures) == 5
    assert all(alt.endswith(f"{names[0]}, x–n") for alt in pictures)
    curves = [image["alt"] for image in page.of("img") if "svg" in image["src"]]
    assert curves[0] == f"{names[1]}, n"
    assert len(curves) == 2


# --- hostile names and data ---------------------------------------------------------------------------------------


def test_names_and_settings_are_text_whatever_they_are(make_run):
    def hostile(chain):
        origin = {"distribution": HOSTILE, "version": "\x00\x1b", "entry_point": "\ud800"}
        return replace(chain, solver=replace(chain.solver, name=HOSTILE, origin=origin))

    data = toy_chain.example().assign_attrs(voxel_size=HOSTILE, title=HOSTILE)
    run = make_run(dataset=data, change=hostile, note=f"{HOSTILE}\n[solver]\nuse = 'other'")
    _, page = execute(run)  # which checks that there is no element but ours
    text = report(run).read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<img src=http" not in text
    assert page.text_of("h1") == [f"rows · {HOSTILE}"]
    assert HOSTILE in page.text_of("td")
    assert "�" in page.text_of("td")


def test_the_page_may_load_nothing(make_run):
    _, page = execute(make_run())
    policies = [meta["content"] for meta in page.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


# --- when it is written -------------------------------------------------------------------------------------------


def test_a_finished_run_keeps_its_report_and_one_begun_anew_loses_it(make_run, monkeypatch):
    run = make_run()
    run.execute()
    written = report(run).stat().st_mtime_ns
    make_run().execute()
    assert report(run).stat().st_mtime_ns == written
    report(run).unlink()
    make_run().execute()
    assert report(run).exists()

    def crash(*args):
        raise RuntimeError("crash")

    monkeypatch.setattr(type(run), "_compute", crash)
    with pytest.raises(RuntimeError, match="crash"):
        make_run().execute(fresh=True)
    assert not report(run).exists()


def test_a_run_whose_report_cannot_be_drawn_has_not_failed(make_run, monkeypatch, caplog):
    def fail(*args):
        raise ValueError("no picture today")

    run = make_run()
    with monkeypatch.context() as context, caplog.at_level(logging.WARNING):
        context.setattr(preimage.report.page, "page", fail)
        assert run.execute()["finished"]
    (said,) = [entry.message for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert said == "the run is finished, but not its report: ValueError: no picture today"
    assert sorted(path.name for path in Path(run.output.path.parent).glob("out.zarr.*")) == ["out.zarr.blocks"]
    assert execute(make_run())[0]["finished"]
