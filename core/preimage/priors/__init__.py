"""Priors: what is known of x before it is measured."""

from preimage.priors.adapters import (
    conjugate_prox,
    denoiser_as_prox,
    denoiser_as_score,
    moreau,
    prox_by_iterations,
    real_lift,
    red_gradient,
)
from preimage.priors.capabilities import (
    Composite,
    Denoiser,
    Differentiable,
    Generative,
    LipschitzGradient,
    LogDensity,
    Proximable,
    Valued,
)
from preimage.priors.owned import owned_prox

__all__ = [
    "Composite",
    "Denoiser",
    "Differentiable",
    "Generative",
    "LipschitzGradient",
    "LogDensity",
    "Proximable",
    "Valued",
    "conjugate_prox",
    "denoiser_as_prox",
    "denoiser_as_score",
    "moreau",
    "owned_prox",
    "prox_by_iterations",
    "real_lift",
    "red_gradient",
]
