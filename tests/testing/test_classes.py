"""A lab's test file is one class a method."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

METHOD = '''
"""Half of x."""

import numpy as np
import torch
import xarray as xr

import preimage
from preimage import hookimpl
from preimage.data import tensor
from preimage.operators import LinearOperator, Norm
from preimage.space import Space

requires = {{"truth": ("z", "y")}}


class Settings(preimage.Settings):
    factor: float = 0.5
    """What x is multiplied by."""


class Half(LinearOperator):
    def __init__(self, space, factor):
        super().__init__(space, space)
        self.factor = factor

    def _apply(self, x):
        return self.factor * x

    def _apply_adjoint(self, y):
        return {adjoint}

    def _bound(self):
        return Norm(self.factor, "exact")


@hookimpl
def preimage_operator(settings: Settings, dataset: xr.Dataset) -> Half:
    truth = tensor(dataset, "truth")
    return Half(Space(("z", "y"), tuple(truth.shape), truth.dtype), settings.factor)


@hookimpl
def preimage_examples():
    truth = xr.Dataset({{"truth": (("z", "y"), np.ones((3, 1), np.float32))}})
    return [(Settings(), truth), (Settings(factor=0.25), truth)]
'''

ADJOINTS = {
    "right": "self.factor * y",
    "wrong": "0.5 * y",
    "raising": "self.factor * y if self.factor > 0.4 else y.nothing_of_that_name()",
}

LAB = """
import raising, right, wrong
from preimage.testing import OperatorLaws


class TestRight(OperatorLaws):
    method = right


class TestMore(TestRight):
    def test_of_its_own(self, subject):
        assert len(subject.examples) == 2


class TestWrong(OperatorLaws):
    method = wrong


class TestRaising(OperatorLaws):
    method = raising
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What pytest prints for a lab's folder with a right method, a wrong one, and one that raises something."""
    lab = tmp_path_factory.mktemp("lab")
    for name, adjoint in ADJOINTS.items():
        (lab / f"{name}.py").write_text(METHOD.format(adjoint=adjoint))
    (lab / "test_lab.py").write_text(LAB)
    (lab / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--color=no"]
    command += ["-k", "TestRight or TestMore or adjoint or linearity"]
    environment = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=lab, env=environment, capture_output=True, text=True, check=False)
    return done.stdout


def outcomes(report: str, cls: str) -> dict[str, str]:
    """The outcome of each test of a class."""
    return dict(re.findall(rf"^test_lab\.py::{cls}::test_(\w+) (PASSED|FAILED|SKIPPED)", report, re.MULTILINE))


def test_each_law_is_a_test_of_every_class_that_names_a_method(report):
    right, more = outcomes(report, "TestRight"), outcomes(report, "TestMore")
    assert {"adjoint", "batched", "meta", "axes", "settings", "pinv"} <= right.keys()
    assert more.keys() - right.keys() == {"of_its_own"}
    assert not outcomes(report, "OperatorLaws"), "the base class is imported into the file, and is no test"


def test_a_right_method_passes_and_what_it_does_not_offer_is_skipped(report):
    right = outcomes(report, "TestRight")
    assert set(right.values()) == {"PASSED", "SKIPPED"}
    assert right["adjoint"] == "PASSED"
    assert right["pinv"] == "SKIPPED"


def test_a_wrong_one_fails_by_the_name_of_the_law_with_its_settings_and_without_a_traceback(report):
    wrong = outcomes(report, "TestWrong")
    assert wrong["adjoint"] == "FAILED"
    assert wrong["linearity"] == "PASSED"
    _, _, section = report.partition("TestWrong.test_adjoint")
    lines = section.splitlines()[1:3]
    assert lines[0].startswith("adjoint: ⟨A x, y⟩ = ⟨x, Aᴴy⟩")
    assert re.match(r"on example 2 \(factor=0\.25\): .* by the factor 0\.5: a missing scale", lines[1])
    assert "law.verify" not in section.partition("____")[0]


def test_another_exception_keeps_its_traceback_and_names_the_law_and_the_example(report):
    assert outcomes(report, "TestRaising")["adjoint"] == "FAILED"
    assert "nothing_of_that_name()" in report
    assert "checking the law 'adjoint' on example 2 (factor=0.25)" in report


def test_pytest_starts_without_importing_anything_heavy():
    code = "import preimage.testing.pytest_plugin, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "pytest" in loaded
    assert {"torch", "numpy", "xarray", "zarr", "dask", "scipy", "pydantic"}.isdisjoint(loaded)
