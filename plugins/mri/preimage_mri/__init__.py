"""Magnetic resonance imaging: Cartesian multi-coil encoding, loaders, calibration and simulation."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preimage_mri.encoding.cartesian_sense import CartesianSense as CartesianSense
    from preimage_mri.encoding.masked_fourier import MaskedFourier as MaskedFourier

_HOMES = {
    "CartesianSense": "preimage_mri.encoding.cartesian_sense",
    "MaskedFourier": "preimage_mri.encoding.masked_fourier",
}


def __getattr__(name: str) -> Any:
    """Import a class when it is first used: finding the methods of this pack must cost nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'preimage_mri' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
