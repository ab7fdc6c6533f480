"""Run files: how a problem is solved, and where it goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Method = Mapping[str, Any]
"""The sections of a run file that say how it is solved."""

WEIGHT = {"damping": 0.01, "sparsity": 0.005}
"""λ on the data's own scale."""


def cg_sense(iterations: int) -> Method:
    return {"solver": {"use": "conjugate-gradient", "damping": WEIGHT["damping"], "max_iter": iterations}}


def l1_wavelet_fista(iterations: int) -> Method:
    """With wavelets along the two phase encodes, so that slices are independent."""
    prior = {
        "use": "sparsity",
        "transform": "wavelet",
        "wavelet": "db2",
        "levels": 3,
        "dims": ["z", "y"],
        "weight": WEIGHT["sparsity"],
        "threshold_approximation": True,
    }
    return {"prior": [prior], "solver": {"use": "fista", "max_iter": iterations}}


def write_run_file(source: Path, output: Path, method: Method, **compute: Any) -> Path:
    """A run file beside its output, from one Zarr store to another.

    One worker of one thread, on the CPU, and data on their own scale, where `compute` does not say otherwise.
    """
    recipe = {
        "loader": {"use": "zarr", "path": str(source)},
        "operator": {"use": "cartesian-mri"},
        **method,
        "compute": {"device": "cpu", "threads": 1, "normalise": False, **compute},
        "output": {"path": str(output)},
    }
    path = output.with_suffix(".json")
    path.write_text(json.dumps(recipe, indent=2))
    return path
