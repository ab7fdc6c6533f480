"""The benchmarks run, and what they compare is the same problem."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "benchmarks" / "run.py"
CASE = "l1-wavelet-fista"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUN), "--size", "24", "--rounds", "1", "--threads", "1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("benchmarks") / "results.json"
    done = run("--cases", CASE, "--implementations", "limit", "preimage", "--output", str(path))
    assert done.returncode == 0, done.stderr
    assert "limit credible" in done.stdout
    assert "target met" in done.stdout
    return json.loads(path.read_text())


def test_results_are_by_case_implementation_and_field(results):
    assert list(results) == [CASE]
    assert list(results[CASE]) == ["limit", "preimage"]
    for row in results[CASE].values():
        assert list(row) == ["wall_s", "cpu_s", "peak_mib", "nrmse"]
        assert row["wall_s"] > 0
        assert row["cpu_s"] > 0


def test_the_platform_and_the_limit_solve_the_same_problem(results):
    errors = {name: row["nrmse"] for name, row in results[CASE].items()}
    assert errors["limit"] < 0.5
    # rounding in single precision over fifty iterations, about 50 · 2⁻²⁴; another weight changes the third digit
    assert errors["preimage"] == pytest.approx(errors["limit"], rel=1e-5)


@pytest.mark.parametrize("wrong", [("--size", "20"), ("--rounds", "0"), ("--output", "nowhere/results.json")])
def test_a_wrong_request_is_refused_before_anything_runs(wrong):
    done = run(*wrong)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "error: " + wrong[0] in done.stderr
