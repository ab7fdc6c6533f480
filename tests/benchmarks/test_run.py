"""The benchmarks run, and say what was measured and where."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "benchmarks" / "run.py"
CASE = "tv-denoise"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUN), "--size", "24", "--rounds", "1", "--threads", "1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[str, dict]:
    """What was printed, and what was written."""
    path = tmp_path_factory.mktemp("benchmarks") / "results.json"
    done = run(CASE, "--implementations", "limit", "preimage", "--output", str(path))
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text())


def test_results_are_by_case_implementation_and_field(done):
    _, results = done
    assert list(results["cases"]) == [CASE]
    case = results["cases"][CASE]
    assert case["size"] == 24
    assert list(case["implementations"]) == ["limit", "preimage"]
    for row in case["implementations"].values():
        assert list(row) == ["wall_s", "cpu_s", "peak_mib", "nrmse"]
        assert row["wall_s"] > 0
        assert row["cpu_s"] > 0


def test_results_say_where_and_with_what_they_were_measured(done):
    _, results = done
    assert results["threads"] == 1
    assert results["machine"]["cores"] >= 1
    assert results["versions"].keys() >= {"python", "torch", "preimage"}


def test_the_table_says_whether_the_targets_were_met(done):
    printed, _ = done
    assert CASE in printed
    assert "limit credible" in printed
    assert "target met" in printed
    assert "peers' wall" in printed


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (("--size", "20"), "--size"),
        (("--rounds", "0"), "--rounds"),
        (("--output", "nowhere/results.json"), "--output"),
        (("tv-pdgh",), "there is no case tv-pdgh"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_runs(wrong, named):
    done = run(*wrong)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "error: " + named in done.stderr
