"""Optics: phase retrieval, and the likelihoods of amplitudes and of counted photons."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preimage_optics.likelihoods.amplitude import Amplitude as Amplitude
    from preimage_optics.likelihoods.poisson import Poisson as Poisson
    from preimage_optics.maps.diffraction import Diffraction as Diffraction
    from preimage_optics.maps.gaussian import GaussianMap as GaussianMap
    from preimage_optics.phaseless import Phaseless as Phaseless

_HOMES = {
    "Amplitude": "preimage_optics.likelihoods.amplitude",
    "Diffraction": "preimage_optics.maps.diffraction",
    "GaussianMap": "preimage_optics.maps.gaussian",
    "Phaseless": "preimage_optics.phaseless",
    "Poisson": "preimage_optics.likelihoods.poisson",
}


def __getattr__(name: str) -> Any:
    """Import a class when it is first used: finding the methods of this pack must cost nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'preimage_optics' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
