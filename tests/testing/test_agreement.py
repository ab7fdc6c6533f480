"""Comparisons with oracles: what fails, and the table of what was compared."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from preimage.errors import RequestError
from preimage.testing.agreement import Agreement, largest_error, page, relative_error, rows

LAB = """
import math
import numpy as np
import pytest


@pytest.mark.parametrize("error", [1e-9, 3e-7, 2e-8])
def test_near(agreement, error):
    agreement("operator.half", "a closed form", error, 1e-6, "rounding")


def test_exact(agreement):
    agreement("loader.half", "|x| by NumPy", np.float32(0), 0, "the same numbers")


@pytest.mark.parametrize("error", [2e-6, math.nan, -1e-9, math.inf])
def test_far(agreement, error):
    agreement("prior.half", "a closed form", error, 1e-6, "rounding")


def test_that_cannot_fail(agreement):
    agreement("prior.half", "anything", 1.0, math.inf, "none")


def test_without_an_oracle():
    pass
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Runs pytest on a folder with the tests of a lab, and returns what it prints."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "test_lab.py").write_text(LAB)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")

    def run(*options):
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout

    return run


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    return tmp_path_factory.mktemp("pages") / "agreements.md"


@pytest.fixture(scope="module")
def report(lab, page_path):
    """Of a session with both forms of the table."""
    return lab("--agreements", "--agreements-file", str(page_path))


def table(report):
    """The rows of the table, cell by cell."""
    _, _, text = report.partition("= agreement with independent oracles =")
    lines = (line for line in text.splitlines() if line.startswith(("loader.", "operator.", "prior.")))
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]


PASSED = [
    ["loader.half", "|x| by NumPy", "1", "0", "0", "the same numbers"],
    ["operator.half", "a closed form", "3", "3e-07", "1e-06", "rounding"],
]


def test_the_table_has_a_row_for_every_oracle_with_the_worst_of_its_cases(report):
    assert table(report)[:2] == PASSED


def test_what_is_far_or_no_distance_fails_and_is_said_so_in_the_table(report):
    assert "5 failed, 5 passed" in report
    for number in ("2e-06", "nan", "-1e-09", "inf"):
        assert f"prior.half and a closed form differ by {number}, allowed 1e-06: rounding" in report
    *_, row = table(report)
    assert row[2] == "4"
    assert row[3].endswith("FAILS")


def test_a_comparison_that_cannot_fail_is_refused(report):
    assert "RequestError: prior.half: a tolerance is a finite number ≥ 0, not inf" in report
    with pytest.raises(RequestError, match="the reason is empty"):
        Agreement("operator.half", "a closed form", 0.0, 1e-6, " ")


def test_the_same_table_is_a_page_of_markdown(report, page_path):
    lines = [line for line in page_path.read_text().splitlines() if line.startswith("|")]
    assert lines[0] == "| method | oracle | cases | agreement | tolerance | where the tolerance comes from |"
    assert lines[2] == "| loader.half | \\|x\\| by NumPy | 1 | 0 | 0 | the same numbers |"
    assert len(lines) == 2 + len(table(report)) == 5


def test_what_workers_compared_is_in_the_table(lab):
    assert table(lab("--agreements", "-n", "2", "-k", "near or exact")) == PASSED


def test_tests_with_an_oracle_are_marked_and_nothing_is_printed_unasked(lab):
    report = lab("-m", "oracle", "-k", "near or exact or without")
    assert "4 passed, 6 deselected" in report
    assert not table(report)


def test_what_fails_is_the_worst_whatever_its_figures():
    good, bad = (Agreement("a", "b", reached, 1.0, "c") for reached in (0.9, float("nan")))
    for order in ((good, bad), (bad, good)):
        assert rows(order) == [("a", "b", "2", "nan FAILS", "1", "c")]
    assert "nan FAILS" in page([good, bad])


def test_errors_are_those_of_numpy_for_tensors_and_arrays():
    x = torch.tensor([3 + 4j, 1, 0], dtype=torch.complex64, requires_grad=True)
    assert largest_error(x.conj(), np.array([0, 1, 2])) == pytest.approx(5, rel=1e-15)
    assert relative_error(x, np.array([3 + 4j, 0, 0])) == pytest.approx(1 / 5, rel=1e-15)
    assert largest_error(np.uint8([0]), np.uint8([255])) == 255  # and not 1, by wrapping round
    assert largest_error(torch.tensor(2.5), 2) == 0.5
    assert largest_error(np.empty((0, 2)), np.empty((0, 2))) == 0
    assert np.isnan(largest_error([0.0, np.nan], [0.0, 0.0]))
    with pytest.raises(AssertionError, match=r"the shapes are \(3,\) and \(1,\)"):
        largest_error(x, x[:1])
