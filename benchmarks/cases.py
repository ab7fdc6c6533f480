"""What is measured: three problems with the settings that every implementation gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Run = Callable[[], Any]
"""Solve once, and return an image (x, z, y)."""
Implementation = Callable[[Path], Run]
"""Read the data of a folder in one's own layout, which is not measured, and return what is."""

DAMPING = 0.01
"""λ of ½‖Ax − y‖² + ½λ‖x‖²."""
CG_ITERATIONS = 20
WEIGHT = 0.005
"""λ of ½‖Ax − y‖² + λ‖Ψx‖₁, where the approximation of the wavelet transform Ψ counts too, as it does in SigPy."""
FISTA_ITERATIONS = 50
WAVELET = "db2"
LEVELS = 3


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes
    ----------
    name : as the results call it.
    function : the name of each implementation's function.
    truth : which of the data its result is compared with.
    repeats : how often it runs between two looks at the clock; once more before, unmeasured.
    """

    name: str
    function: str
    truth: str = "truth"
    repeats: int = 1


CASES = (
    Case("normal", "normal", truth="normal_of_truth", repeats=50),
    Case("cg-sense", "cg_sense"),
    Case("l1-wavelet-fista", "l1_wavelet_fista"),
)

IMPLEMENTATIONS = {"limit": "limit", "preimage": "ours", "sigpy": "sigpy_peer"}
"""The module of each."""
