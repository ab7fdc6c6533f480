"""What is measured: problems with the settings that every implementation gets, and who solves them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Run = Callable[[], Any]
"""Solve once, and return an image in the layout of the truth."""


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes
    ----------
    name : as it is chosen and as the results call it.
    method : whose function solves it, with `_` for `-`; the same as the name where it is empty.
    problem : its data, one of `problems.PROBLEMS`.
    size : elements along each dim.
    iterations : of the method.
    weight : λ of its regularisation, on the data's own scale.
    balance : of PDHG: how long steps of the multipliers are against those of the image, in units of ‖A‖².
    truth : which of the data its result is compared with.
    repeats : how often it runs between two looks at the clock; once more before, unmeasured.
    up_to_phase : whether the data do not tell the global phase.
    """

    name: str
    problem: str
    size: int
    iterations: int = 1
    weight: float = 0.0
    balance: float = 1.0
    truth: str = "truth"
    repeats: int = 1
    up_to_phase: bool = False
    method: str = ""

    @property
    def function(self) -> str:
        """The name of each implementation's function."""
        return (self.method or self.name).replace("-", "_")


Implementation = Callable[[Path, Case], Run]
"""Read the data of a folder in one's own layout, which is not measured, and return what is."""

CASES = (
    Case("normal", "mri", 96, truth="normal_of_truth", repeats=20),
    Case("normal-large", "mri-slab", 192, truth="normal_of_truth", repeats=4, method="normal"),
    Case("cg-sense", "mri", 96, iterations=20, weight=0.01),
    Case("cg-sense-large", "mri-slab", 192, iterations=5, weight=0.01, method="cg-sense"),
    Case("l1-wavelet-fista", "mri", 96, iterations=50, weight=0.005),
    Case("tv-pdhg", "mri", 64, iterations=80, weight=0.002, balance=0.1),
    Case("tv-admm", "mri", 64, iterations=20, weight=0.002),
    Case("tv-denoise", "volume", 96, iterations=100, weight=0.07),
    Case("phase-retrieval", "diffraction", 256, iterations=50, up_to_phase=True),
)

IMPLEMENTATIONS = {
    "limit": "implementations.limit",
    "preimage": "implementations.ours",
    "sigpy": "implementations.sigpy_peer",
    "deepinv": "implementations.deepinv_peer",
    "bart": "implementations.bart_peer",
}
"""The module of each."""
PEERS = ("sigpy", "deepinv", "bart")
"""Those that may be missing."""

WAVELET = "db2"
LEVELS = 3
"""Of the wavelet transform Ψ in λ‖Ψx‖₁, where the approximation counts too, as it does in SigPy."""
PENALTY = 0.3
"""ρ of ADMM, in units of ‖A‖²/‖D‖²."""
INNER_ITERATIONS = 3
"""Of conjugate gradients in each iteration of ADMM, begun at the image before."""
SPECTRAL_ITERATIONS = 50
"""Of the power iteration that gives phase retrieval its start."""
