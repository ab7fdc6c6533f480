"""The benchmarks of volumes measure what they say, and run; in tiny sizes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import preimage

RUN = Path(__file__).parents[2] / "benchmarks" / "volumes" / "run.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(RUN), *arguments], capture_output=True, text=True, check=False)


def centred_fft(image):
    axes = (-3, -2, -1)
    return np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(image, axes), axes=axes, norm="ortho"), axes)


@pytest.mark.parametrize("shape", [(3, 8, 12, 16), (2, 5, 7, 9)])
def test_the_data_are_what_a_scanner_measures(benchmarks, tmp_path, shape):
    problem = benchmarks("volumes.problem")
    size = problem.Size(*shape)
    dataset = preimage.open_dataset(problem.write(size, tmp_path / "data.zarr")).load()
    mask, sensitivities = dataset["mask"].values, dataset["sensitivities"].values
    assert mask.sum() == size.z * size.y // 4
    assert np.linalg.norm(sensitivities, axis=0) == pytest.approx(1, abs=1e-5)  # rounding of single precision
    noise = dataset["measurement"].values - centred_fft(sensitivities * problem.phantom(*problem.grid(size))) * mask
    assert not noise[..., ~mask].any()
    n = size.coils * size.x * mask.sum()
    power = np.mean(np.abs(noise[..., mask]) ** 2) / problem.NOISE**2
    assert power == pytest.approx(1, abs=5 / np.sqrt(n))  # |n|² has a standard deviation as large as its mean
    assert size.nbytes == dataset["measurement"].nbytes == dataset["sensitivities"].nbytes


def test_a_worker_is_there_from_its_first_block_on(benchmarks):
    markers = benchmarks("volumes.markers")

    def blocks(*times):
        return [markers.Block(0, began, ended, 0) for began, ended in times]

    one = blocks((10, 12), (12, 15), (15.5, 16))
    assert markers.worker_seconds(one) == [6]
    # The second is there when the first is in its third block already.
    assert markers.worker_seconds([*one, *blocks((15.75, 18), (18, 20))]) == [10, 4.25]


def test_a_target_is_met_or_it_is_said_by_how_much_not(benchmarks):
    row = benchmarks("volumes.row").Row
    assert (row("a", "b", 1.25, at_most=1.25).target, row("a", "b", 1.25, at_most=1.25).verdict) == ("≤ 1.25", "met")
    assert row("a", "b", 1.5, at_most=1.25).verdict == "missed: 0.25 over"
    assert row("a", "b", 1.9, at_least=1.8).verdict == "met"
    assert row("a", "b", 1.5, "s", at_least=1.8, form=".1f").verdict == "missed: 0.3 s under"
    assert row("a", "b", 1.5).target == row("a", "b", 1.5).verdict == ""


def test_a_cost_that_is_not_linear_is_told(benchmarks):
    cost = benchmarks("volumes.cases.cost")

    def missed(exponent):
        series = {"lengths": [1, 2, 4], "cpu_s": [3 + n**exponent for n in (1, 2, 4)]}
        found = {"series": {"slices": series}}
        return any(row.verdict.startswith("missed") for row in cost.rows(found))

    assert not missed(1)
    assert missed(3)


def test_a_case_that_fails_is_reported_and_the_others_go_on(benchmarks, monkeypatch, tmp_path, capsys):
    volumes, page = benchmarks("volumes.run"), benchmarks("page")
    cases = benchmarks("volumes.cases").BY_NAME

    def fail(folder, tiny):
        raise RuntimeError("no space")

    def measure(folder, tiny):
        return {"base": {}, "series": {name: {"lengths": [1, 2], "cpu_s": [1.0, 2.0]} for name in ("slices", "coils")}}

    monkeypatch.setattr(cases["budget"], "measure", fail)
    monkeypatch.setattr(cases["cost"], "measure", measure)
    volumes.main(["budget", "cost", "--tiny", "--output", str(tmp_path / "volumes.json")])
    assert "FAILED: RuntimeError: no space" in capsys.readouterr().out
    page.main(
        ["--memory", str(tmp_path / "none"), "--volumes", str(tmp_path / "volumes.json"), "--docs", str(tmp_path)]
    )
    written = (tmp_path / "performance.md").read_text()
    assert "**Failed: RuntimeError: no space**" in written
    assert "Not measured." in written
    assert "tiny sizes" in written
    assert "| 1, 2 slices |" in written
    assert (tmp_path / page.PICTURE).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("case", ["zarr-to-zarr", "many-blocks"])
def test_a_case_runs(case, tmp_path):
    done = run(case, "--tiny", "--output", str(tmp_path / "results.json"))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results["cases"]) == [case]
    found = results["cases"][case].get("found")
    assert found, done.stderr
    assert results["versions"].keys() >= {"python", "preimage", "torch", "zarr"}
    if case == "zarr-to-zarr":
        assert found["comparisons"][0]["difference"] == 0  # of the same blocks
    else:
        assert found["dask"]["blocks"] == found["serial"]["blocks"] == 100
        assert found["dask"]["overhead_ms"] > 0
        assert found["dask"]["late"]["driver"] > 100


def test_the_page_tells_what_was_missed_in_memory(benchmarks):
    page = benchmarks("page")

    def row(cpu, wall):
        return {"wall_s": wall, "cpu_s": cpu, "peak_mib": 10.0, "nrmse": 0.1}

    rows = {"limit": row(1.0, 1.0), "preimage": row(1.25, 1.0), "sigpy": row(8.0, 4.0)}
    cases = {"cg-sense": {"size": 96, "iterations": 20, "implementations": rows}}
    assert list(page.missed_in_memory(cases)) == [
        "cg-sense: CPU / the limit's is 1.25, 0.10 over 1.15",
        "cg-sense: the wall of sigpy / preimage's is 4.0, 2.0 under 6",
    ]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [(("--output", "nowhere/results.json"), "--output"), (("budgets",), "there is no case budgets")],
)
def test_a_wrong_request_is_refused_before_anything_runs(wrong, named):
    done = run(*wrong)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "error: " + named in done.stderr
