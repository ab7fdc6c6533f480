"""Plug-and-play: least squares with a denoiser where a prior's prox would be, in FISTA, ADMM or HQS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

import xarray as xr
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

import preimage
from preimage import Memory, Scalar, hookimpl
from preimage.problem import Problem
from preimage.solving import Stop
from preimage_variational.solvers.plug_and_play_forms import GradientForm, ImageUpdate, Schedule, SplitForm
from preimage_variational.solvers.terms import run_norm


class Settings(preimage.Settings):
    """Which algorithm takes the denoiser, how strongly it denoises, and how long.

    x and σ are those of data divided by the run's scale, max |Aᴴy|, unless `compute.normalise` is false: then σ = 0.05
    is a twentieth of what is about the brightest pixel, wherever AᴴA is about 1.
    """

    form: Literal["fista", "admm", "hqs"] = "admm"
    """`admm` and `hqs` denoise after solving for the image. `admm` keeps multipliers, so that in the end data and
    denoiser weigh what the weight says, whatever σ; `hqs` (half-quadratic splitting) keeps none, and wants a σ that
    falls. `fista` denoises after gradient steps, with A and Aᴴ alone, and may diverge with a denoiser that amplifies
    differences, as networks do at a low σ."""
    sigma: PositiveFloat | tuple[PositiveFloat, PositiveFloat]
    """Standard deviation σ that the denoiser is told, E|n|² = σ² in the units of x; two of them are the first and the
    last, between which σ goes geometrically in max_iter iterations."""
    weight: PositiveFloat | None = None
    """λ of ½‖Ax − y‖² + λR(x), with R the −log of the density that the denoiser knows; it makes ρ = λ/σ² in `admm` and
    `hqs`. Not given: the variance of the noise of y, of which the likelihood must know. In `fista` it is σ²‖A‖²."""
    max_iter: PositiveInt = 30
    """Number of iterations at most, of one denoising each."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Stop when an iteration changes the image by less than this share of its norm, for one σ only; 0 never stops."""
    image_update: ImageUpdate = "auto"
    """How `admm` and `hqs` solve for the image. `closed-form` needs an operator that has one; blocks then agree at
    every iteration. `conjugate-gradient` needs nothing. `auto` is the first where that can be."""
    inner_iterations: PositiveInt = 10
    """Iterations of conjugate gradients in each, begun at the image before."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.form == "fista" and self.weight is not None:
            raise ValueError("the weight of `fista` is σ²‖A‖²: leave it out, and choose sigma")
        if self.tolerance and isinstance(self.sigma, tuple):
            raise ValueError("tolerance needs one sigma: while it changes, the image has not arrived")
        return self


@hookimpl
def preimage_solver(settings: Settings) -> GradientForm | SplitForm:
    """The solver."""
    first, last = settings.sigma if isinstance(settings.sigma, tuple) else (settings.sigma, settings.sigma)
    schedule, stop = Schedule(first, last, settings.max_iter), Stop(settings.max_iter, settings.tolerance)
    if settings.form == "fista":
        return GradientForm(schedule, stop)
    return SplitForm(
        schedule,
        stop,
        settings.weight,
        multipliers=settings.form == "admm",
        image_update=settings.image_update,
        inner_iterations=settings.inner_iterations,
    )


@hookimpl
def preimage_scalars(settings: Settings) -> Mapping[str, Scalar]:
    """For gradient steps the largest norm of all blocks' operators, so that all take the same."""
    return {"norm": Scalar(run_norm, "max")} if settings.form == "fista" else {}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The image, Aᴴy, what is denoised; the point ahead and AᴴA of it, or what conjugate gradients work on."""
    return Memory(per_image=(5 if settings.form == "fista" else 8) + 2 * (settings.tolerance > 0))


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Problem]]:
    """With denoisers that are the mean of a Gaussian: all forms, one σ and two, in closed form and by iterations."""
    from preimage.testing.toys import Quadratic
    from preimage_variational.examples import IMAGE, least_squares, problems, with_empty_element, with_prior

    variance, sigma, weight = 2 / 3, 0.5, 0.2
    prior = Quadratic(IMAGE, 2 / variance)
    rho, kept = weight / sigma**2, variance / (variance + sigma**2)
    for problem in problems():
        largest = problem.operator.norm().value ** 2
        as_fista = least_squares(problem, sigma**2 * largest / variance)
        yield Settings(form="fista", sigma=sigma), with_prior(problem, prior, as_fista)
        as_admm = least_squares(problem, weight / variance)
        yield Settings(sigma=sigma, weight=weight), with_prior(problem, prior, as_admm)
        falling = Settings(sigma=(1.0, sigma), weight=weight, image_update="conjugate-gradient")
        yield falling, with_prior(problem, prior, as_admm)
        as_hqs = kept * least_squares(problem, rho * (1 - kept))
        closed = Settings(form="hqs", sigma=sigma, weight=weight, image_update="closed-form")
        yield closed, with_prior(problem, prior, as_hqs)
    yield Settings(sigma=sigma, weight=weight), with_prior(with_empty_element(), prior)
