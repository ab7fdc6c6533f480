"""The benchmarks run, and what they compare is the same problem."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RUN = [sys.executable, str(BENCHMARKS / "run.py"), "--size", "24", "--rounds", "1", "--threads", "1"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True, check=False, env=dict(os.environ))


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("benchmarks") / "results.json"
    cases = ("--cases", "normal", "l1-wavelet-fista", "--implementations", "limit", "preimage")
    done = run(*cases, "--output", str(path))
    assert done.returncode == 0, done.stderr
    assert "limit credible" in done.stdout
    assert "target met" in done.stdout
    return json.loads(path.read_text())


def test_results_are_by_case_implementation_and_field(results):
    assert list(results) == ["normal", "l1-wavelet-fista"]
    for rows in results.values():
        assert list(rows) == ["limit", "preimage"]
        for row in rows.values():
            assert list(row) == ["wall_s", "cpu_s", "peak_mib", "nrmse"]
            assert all(value > 0 for name, value in row.items() if name != "peak_mib")


def test_the_normal_operation_is_right_to_single_precision(results):
    # rounding of an FFT of n points grows as log n; the wrong mask or a missing shift is an error of the order of 1
    assert all(row["nrmse"] < 1e-6 for row in results["normal"].values())


def test_the_platform_and_the_limit_solve_the_same_problem(results):
    rows = results["l1-wavelet-fista"]
    # rounding in single precision over fifty iterations, about 50 · 2⁻²⁴; another weight changes the third digit
    assert rows["preimage"]["nrmse"] == pytest.approx(rows["limit"]["nrmse"], rel=1e-5)


@pytest.mark.parametrize("wrong", [("--size", "20"), ("--rounds", "0"), ("--cases", "nothing")])
def test_a_wrong_request_is_one_line(wrong):
    done = run(*wrong)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "error:" in done.stderr
