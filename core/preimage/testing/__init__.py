"""The laws that every method obeys, and how a lab checks its own methods against them.

In a test file, one class a method is enough: pytest then runs one test a law, on the examples that the module
generates in its `preimage_examples`::

    from preimage.testing import OperatorLaws
    import lab_optics.scatter

    class TestScatter(OperatorLaws):
        method = lab_optics.scatter

`check(kind, module)` does the same without pytest, `check_operator(A)` for an operator in a notebook.

Parts may make claims about themselves, which are then checked or relied on:

- a prior `convex` and `phase_equivariant` (True unless it says otherwise), and a denoiser `scale_equivariant` (False);
- a solver `minimises` (True unless it is `one_pass`): whether it arrives where its objective is least;
- a likelihood `dispersion` φ, for a density exp(−ℓ/φ), 1 unless it says otherwise or has a `std`.

A likelihood's example may have the variable `predicted`, data u near which its laws are checked; a solver's example
whose answer is known is a `Solved` problem.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preimage.testing.calling import bound
    from preimage.testing.checking import check, check_operator
    from preimage.testing.classes import (
        LikelihoodLaws,
        LoaderLaws,
        OperatorLaws,
        PreparationLaws,
        PriorLaws,
        SolverLaws,
    )
    from preimage.testing.law import LawBroken, NotOffered, Outcome
    from preimage.testing.toys import Solved, Toy

# Imported when first used: pytest imports this package wherever preimage is installed, and must start quickly.
_HOMES = {
    "LawBroken": "law",
    "LikelihoodLaws": "classes",
    "LoaderLaws": "classes",
    "NotOffered": "law",
    "OperatorLaws": "classes",
    "Outcome": "law",
    "PreparationLaws": "classes",
    "PriorLaws": "classes",
    "Solved": "toys",
    "SolverLaws": "classes",
    "Toy": "toys",
    "bound": "calling",
    "check": "checking",
    "check_operator": "checking",
}

__all__ = [
    "LawBroken",
    "LikelihoodLaws",
    "LoaderLaws",
    "NotOffered",
    "OperatorLaws",
    "Outcome",
    "PreparationLaws",
    "PriorLaws",
    "Solved",
    "SolverLaws",
    "Toy",
    "bound",
    "check",
    "check_operator",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'preimage.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(f"preimage.testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
