"""Likelihoods that obey the laws, and for each law one that does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from preimage.data import tensor
from preimage.likelihoods import Gaussian
from preimage.movable import Movable
from preimage.randomness import Draw

from .fake import NoSettings, Wrong, method

# --- right ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Poisson:
    """u − y log u, for counts y ~ Poisson(u)."""

    scale_equivariant = False

    def value(self, u: Tensor, y: Tensor) -> Tensor:
        return (u - y * u.log()).sum()

    def grad(self, u: Tensor, y: Tensor) -> Tensor:
        return 1 - y / u

    def prox(self, u: Tensor, y: Tensor, step: Any) -> Tensor:
        return ((u - step) + ((u - step) ** 2 + 4 * step * y).sqrt()) / 2

    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        uniform = draw.uniform(tuple(u.shape), u.dtype, u.device)
        counts, term = torch.zeros_like(u), torch.exp(-u)
        total = term.clone()
        for k in range(1, 200):  # the inverse of the distribution
            counts += uniform > total
            term = term * u / k
            total += term
        return counts


@dataclass(frozen=True)
class Amplitude:
    """½(|u| − y)² for measured magnitudes y of complex fields u."""

    std: float = 0.1
    scale_equivariant = True
    phaseless = True

    def value(self, u: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (u.abs() - y).square().sum()

    def grad(self, u: Tensor, y: Tensor) -> Tensor:
        return u - y * u.sgn()

    def prox(self, u: Tensor, y: Tensor, step: Any) -> Tensor:
        return (u + step * y * u.sgn()) * (1 / (1 + step))

    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        return u.abs() + self.std * draw.normal(tuple(u.shape), u.real.dtype, u.device)

    def expected(self, u: Tensor) -> Tensor:
        return u.abs()


@dataclass(frozen=True)
class Weighted(Movable):
    """½(u − y)² / v, with a variance v of every datum."""

    variance: Tensor
    scale_equivariant = False

    def value(self, u: Tensor, y: Tensor) -> Tensor:
        return 0.5 * ((u - y).square() / self.variance).sum()

    def grad(self, u: Tensor, y: Tensor) -> Tensor:
        return (u - y) / self.variance

    def prox(self, u: Tensor, y: Tensor, step: Any) -> Tensor:
        return (self.variance * u + step * y) / (self.variance + step)

    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        return u + self.variance.sqrt() * draw.normal(tuple(u.shape), u.dtype, u.device)


rng = np.random.default_rng(0)


def data(**variables: Any) -> list[tuple[NoSettings, xr.Dataset]]:
    return [(NoSettings(), xr.Dataset({name: (("n", "m"), values) for name, values in variables.items()}))]


def complex_data() -> Any:
    return (rng.standard_normal((5, 3)) + 1j * rng.standard_normal((5, 3))).astype(np.complex64)


FIELD = complex_data()
COMPLEX, REAL = data(measurement=complex_data()), data(measurement=rng.standard_normal((5, 3)).astype(np.float32))
COUNTS = data(measurement=rng.poisson(4, (5, 3)))
MAGNITUDES = data(measurement=np.abs(FIELD) * 1.2, predicted=FIELD)
UNEQUAL = data(
    measurement=rng.standard_normal((5, 3)).astype(np.float32), variance=rng.uniform(0.5, 2, (5, 3)).astype(np.float32)
)
REAL_MAGNITUDES = data(measurement=np.abs(FIELD), predicted=FIELD.real)


def likelihood(make: Callable[[], Any], examples: Any = COMPLEX + REAL) -> Callable[[Path], Any]:
    """A method that makes a likelihood."""

    def preimage_likelihood(settings: NoSettings, dataset: xr.Dataset) -> object:
        return make()

    return method("likelihood", preimage_likelihood, examples)


def weighted(settings: NoSettings, dataset: xr.Dataset) -> Weighted:
    return Weighted(tensor(dataset, "variance"))


RIGHT = [
    likelihood(lambda: Gaussian(0.3)),
    likelihood(Gaussian),
    likelihood(Poisson, COUNTS),
    method("likelihood", weighted, UNEQUAL),
    likelihood(Amplitude, MAGNITUDES),
    likelihood(Amplitude, REAL_MAGNITUDES),
]

# --- wrong ------------------------------------------------------------------------------------------------------------


class WirtingerGradient(Gaussian):
    def grad(self, u: Any, y: Any) -> Any:
        return 0.5 * super().grad(u, y)


class ProxOfTheWholeSquare(Gaussian):
    """The prox of ‖u − y‖², where the value has a half."""

    def prox(self, u: Any, y: Any, step: Any) -> Any:
        return super().prox(u, y, 2 * step)


class OneStepForAll(Gaussian):
    def prox(self, u: Any, y: Any, step: Any) -> Any:
        return super().prox(u, y, step.max() if isinstance(step, Tensor) else step)


class WeakNoise(Gaussian):
    """Divided by √2, as if std were that of the real and of the imaginary part together, for real data too."""

    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        return u + (super().sample(u, draw) - u) / 2**0.5


class OffCentre(Gaussian):
    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        return super().sample(u, draw) + 0.3 * (self.std or 0)


class NoiseOfThePhase(Amplitude):
    """Noise of the complex field rather than of its magnitude: Rice's distribution, not this density's."""

    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        return (u + 10 * self.std * draw.normal(tuple(u.shape), u.dtype, u.device)).abs()


class ExpectsTheField(Amplitude):
    def expected(self, u: Tensor) -> Tensor:
        return u


class ForgetsTheBackground(Poisson):
    """Counts of u and of a background, of which the mean does not know."""

    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        return super().sample(u + 1, draw)

    def grad(self, u: Tensor, y: Tensor) -> Tensor:
        return super().grad(u + 1, y)


class SeesThePhase(Gaussian):
    phaseless = True


class SeesTheSign(Amplitude):
    """The magnitude of real fields is taken for the fields themselves."""

    def value(self, u: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (u - y).abs().square().sum()


class ProxWithoutThePhase(Amplitude):
    def prox(self, u: Tensor, y: Tensor, step: Any) -> Tensor:
        return super().prox(u, y, step).abs().to(u.dtype)


class DrawsForTheBlock(Gaussian):
    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        return super().sample(u, Draw(draw.seed, (0,) * u.ndim, tuple(u.shape)))


class DrawsAnew(Gaussian):
    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        return u + torch.randn_like(u)


class IgnoresTheSeed(Gaussian):
    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        return super().sample(u, Draw(0, draw.origin, draw.whole_shape))


class Huber(Gaussian):
    """Knows a size of its own, and says that it does not."""

    def value(self, u: Any, y: Any) -> Tensor:
        size = (u - y).abs()
        return torch.where(size < 1, 0.5 * size**2, size - 0.5).sum()


class RescaledByTheSquare(Gaussian):
    def rescaled(self, factor: float) -> Gaussian:
        return super().rescaled(factor**2)


class GradientOneShort(Gaussian):
    def grad(self, u: Any, y: Any) -> Any:
        return super().grad(u, y)[..., :-1]


class ChangesItsArgument(Gaussian):
    def grad(self, u: Any, y: Any) -> Any:
        return u.sub_(y) if not torch.is_grad_enabled() else u - y


class MeanOfTheBatch(Gaussian):
    def value(self, u: Any, y: Any) -> Tensor:
        return super().value(u, y) / len(u)


class GradientInSingle(Gaussian):
    def grad(self, u: Any, y: Any) -> Any:
        return super().grad(u, y).to(torch.complex64 if u.is_complex() else torch.float32)


class OnNoDevice(Gaussian):
    def grad(self, u: Any, y: Any) -> Any:
        return super().grad(u, y) * torch.ones(u.shape[-1])


WRONG: dict[str, list[Wrong]] = {
    "gradient": [Wrong(likelihood(WirtingerGradient), r"by the factor 0\.5: .*half of it is the Wirtinger gradient")],
    "prox": [
        Wrong(likelihood(ProxOfTheWholeSquare), "does not minimise value"),
        Wrong(likelihood(OneStepForAll), "and one by one"),
    ],
    "sample": [
        Wrong(likelihood(lambda: WeakNoise(0.3), COMPLEX), r"the variance of \d+ samples is 0\.[45]\d* times"),
        Wrong(likelihood(lambda: WeakNoise(0.3), REAL), r"the variance of \d+ samples is 0\.[45]\d* times"),
        Wrong(likelihood(lambda: OffCentre(0.3)), "not centred"),
        Wrong(likelihood(lambda: NoiseOfThePhase(0.1), MAGNITUDES), "standard errors"),
    ],
    "expectation": [
        Wrong(likelihood(ExpectsTheField, MAGNITUDES), r"samples are torch.float64 .* expected is torch.complex128"),
        Wrong(likelihood(ForgetsTheBackground, COUNTS), r"the mean of samples less expected\(u\)"),
    ],
    "phase": [
        Wrong(likelihood(SeesThePhase, COMPLEX), "its data are complex"),
        Wrong(likelihood(SeesTheSign, REAL_MAGNITUDES), "value of e"),
        Wrong(likelihood(ProxWithoutThePhase, MAGNITUDES), "prox of e"),
    ],
    "sample_in_blocks": [
        Wrong(likelihood(lambda: DrawsForTheBlock(0.3)), "is not that block of the whole's"),
        Wrong(likelihood(lambda: DrawsAnew(0.3)), "two samples with one seed differ"),
        Wrong(likelihood(lambda: IgnoresTheSeed(0.3)), "the seed is not used"),
    ],
    "scale_equivariance": [
        Wrong(likelihood(Huber), r"value\(0.1·u, 0.1·y\)"),
        Wrong(likelihood(lambda: RescaledByTheSquare(0.3)), r"a sample of rescaled\(0.1\)"),
    ],
    "result": [Wrong(likelihood(GradientOneShort), r"grad\(u, y\) gives no element of its space")],
    "purity": [Wrong(likelihood(ChangesItsArgument), "changes its argument")],
    "batched": [Wrong(likelihood(MeanOfTheBatch), "values are summed over the batch")],
    "precision": [Wrong(likelihood(GradientInSingle), "expected torch.complex128")],
    "meta": [Wrong(likelihood(OnNoDevice), "without device=x.device")],
}
