"""preimage: inverse problems solved from interchangeable parts.

The names below are the public front door. They are imported when first used, so that
`import preimage` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preimage.declarations import Memory, Scalar, halo, split, whole
    from preimage.errors import PreimageError
    from preimage.hookspecs import hookimpl
    from preimage.likelihoods import Gaussian
    from preimage.metrics import Metric
    from preimage.offers import offers
    from preimage.operators import LinearOperator, Operator, block_diag, hstack, vstack
    from preimage.problem import Problem
    from preimage.randomness import Seed
    from preimage.settings import Settings
    from preimage.solving import Needs, Solver, State, Stop, solve
    from preimage.space import Blocks, ProductSpace, Space
    from preimage.volumes.stores import open_dataset, write_dataset
    from preimage_registry.front import make, reconstruct, run, simulate

__version__ = "1.0.0"

__all__ = [
    "Blocks",
    "Gaussian",
    "LinearOperator",
    "Memory",
    "Metric",
    "Needs",
    "Operator",
    "PreimageError",
    "Problem",
    "ProductSpace",
    "Scalar",
    "Seed",
    "Settings",
    "Solver",
    "Space",
    "State",
    "Stop",
    "__version__",
    "block_diag",
    "halo",
    "hookimpl",
    "hstack",
    "make",
    "offers",
    "open_dataset",
    "reconstruct",
    "run",
    "simulate",
    "solve",
    "split",
    "vstack",
    "whole",
    "write_dataset",
]

_HOMES = {
    "Blocks": "preimage.space",
    "Gaussian": "preimage.likelihoods",
    "LinearOperator": "preimage.operators",
    "Memory": "preimage.declarations",
    "Metric": "preimage.metrics",
    "Needs": "preimage.solving",
    "Operator": "preimage.operators",
    "PreimageError": "preimage.errors",
    "Problem": "preimage.problem",
    "ProductSpace": "preimage.space",
    "Scalar": "preimage.declarations",
    "Seed": "preimage.randomness",
    "Settings": "preimage.settings",
    "Solver": "preimage.solving",
    "Space": "preimage.space",
    "State": "preimage.solving",
    "Stop": "preimage.solving",
    "block_diag": "preimage.operators",
    "halo": "preimage.declarations",
    "hookimpl": "preimage.hookspecs",
    "hstack": "preimage.operators",
    "make": "preimage_registry.front",
    "offers": "preimage.offers",
    "open_dataset": "preimage.volumes.stores",
    "reconstruct": "preimage_registry.front",
    "run": "preimage_registry.front",
    "simulate": "preimage_registry.front",
    "solve": "preimage.solving",
    "split": "preimage.declarations",
    "vstack": "preimage.operators",
    "whole": "preimage.declarations",
    "write_dataset": "preimage.volumes.stores",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'preimage' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
