"""Checking without pytest: what a command line and a notebook are told."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from preimage.testing import NotOffered, check, check_operator
from preimage.testing.examples import ByHand, OperatorExample
from preimage.testing.laws import LAWS
from preimage.testing.toys import Rows, Toy

from .fake import NoSettings, module
from .operators import SCANS, TwiceTheAdjoint, along_z, make_coils, maps, split


def outcomes(module):
    return {outcome.law: outcome for outcome in check("operator", module)}


def test_a_right_method_has_laws_that_hold_and_laws_that_it_does_not_offer():
    found = outcomes(
        module("operator", make_coils, SCANS, preimage_axes=along_z(split), requires={"sensitivities": ()})
    )
    assert not [outcome for outcome in found.values() if outcome.problem]
    assert found["adjoint"].holds
    assert str(found["adjoint"]) == "adjoint: holds"
    assert not found["pinv"].holds, "what is not offered has not passed"
    assert str(found["pinv"]) == "pinv: not offered, the operator is no PseudoInvertible"


def test_whatever_a_method_raises_is_told_as_its_problem():
    def broken(settings: NoSettings) -> Rows:
        raise ZeroDivisionError("by nothing")

    found = outcomes(module("operator", broken, SCANS))
    assert found["examples"].problem == "ZeroDivisionError: by nothing"
    assert found["adjoint"].skipped_reason == "its examples cannot be made (ZeroDivisionError)"


def test_hooks_that_pluggy_refuses_are_one_problem():
    def preimage_memory(nonsense: int) -> None:
        return None

    found = outcomes(module("operator", make_coils, SCANS, preimage_memory=preimage_memory))
    assert "nonsense" in found["hooks"].problem


def test_an_operator_in_a_notebook():
    single = Toy().problem().operator.to(dtype=torch.float32)
    assert not [outcome for outcome in check_operator(single) if outcome.problem]
    assert single.domain.dtype == torch.complex64, "it is a copy that is checked"
    (adjoint,) = [outcome for outcome in check_operator(TwiceTheAdjoint(maps())) if outcome.law == "adjoint"]
    assert str(adjoint).startswith("adjoint: BROKEN. ⟨Ax, y⟩ = ")


def test_a_part_of_a_matrix_that_is_too_large_is_not_offered():
    large = OperatorExample(Rows(torch.zeros(1, 700, 800, dtype=torch.complex128)))
    with pytest.raises(NotOffered, match="its matrix would be 1400 × 1600: an example with fewer elements is needed"):
        LAWS["operator"]["norm"].verify(ByHand([large]))


def test_neither_the_registry_nor_a_pack_nor_pytest_is_needed():
    code = "import preimage.testing.checking, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in loaded if name in {"pytest", "_pytest"} or name.startswith("preimage_")]
