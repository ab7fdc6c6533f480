"""Likelihoods as examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from preimage.data import located, tensor
from preimage.movable import moved
from preimage.space import Space
from preimage.testing.calling import Method
from preimage.testing.comparing import DOUBLE, generator, length
from preimage.testing.datasets import in_precision
from preimage.testing.examples.calls import Call


@dataclass(frozen=True)
class LikelihoodExample:
    """A likelihood with data and predictions, in double precision.

    Attributes
    ----------
    likelihood : what was made.
    u, y : predicted and measured data. The predictions are the variable `predicted` of the example's dataset; without
        one the measurement with noise added, and ≥ 0 where the measurement is.
    method, settings, dataset : how it was made; None for a likelihood that was made by hand.
    label : names the example in messages.
    """

    likelihood: Any
    u: Tensor
    y: Tensor
    method: Method | None = None
    settings: Any = None
    dataset: xr.Dataset | None = None
    label: str = ""

    @classmethod
    def made(cls, method: Method, settings: Any, dataset: xr.Dataset, label: str) -> LikelihoodExample:
        """Cast the dataset to double precision, and make the likelihood from it."""
        exact = in_precision(dataset, DOUBLE)
        y = tensor(exact, "measurement")
        y = y if y.is_floating_point() or y.is_complex() else y.to(DOUBLE)
        u = tensor(exact, "predicted") if "predicted" in exact else _near(y)
        likelihood = moved(method.make(settings=settings, dataset=exact), None, DOUBLE)
        return cls(likelihood, u, y, method, settings, exact, label)

    @property
    def part(self) -> Any:
        """What was made."""
        return self.likelihood

    def at(self, dtype: torch.dtype) -> LikelihoodExample:
        """The example in another precision."""
        likelihood = self.likelihood
        if self.method is not None and self.dataset is not None:
            likelihood = self.method.make(settings=self.settings, dataset=in_precision(self.dataset, dtype))
        u, y, likelihood = moved((self.u, self.y, likelihood), None, dtype)
        return replace(self, likelihood=likelihood, u=u, y=y)

    def of_block(self, axis: int, block: slice) -> Any:
        """The likelihood of a block of the data, made of that block; the same where it was made by hand."""
        if self.method is None or self.dataset is None:
            return self.likelihood
        part = located(self.dataset, {str(self.dataset["measurement"].dims[axis]): block})
        return moved(self.method.make(settings=self.settings, dataset=part), None, DOUBLE)

    def stacked(self, n: int) -> tuple[Tensor, Tensor]:
        """A batch of predictions and data, each element other than the next."""
        factors = torch.linspace(1, 2, n, dtype=self.u.real.dtype).reshape(-1, *[1] * self.u.ndim)
        return self.u * factors, self.y * factors.flip(0)

    def calls(self, batch: tuple[int, ...] = (), dtype: torch.dtype = DOUBLE, device: Any = None) -> Iterator[Call]:
        """Yield the public calls of the likelihood, but for drawing samples."""
        one = self.at(dtype)
        u, y = one.stacked(batch[0]) if batch else (one.u, one.y)
        u, y, likelihood = moved((u, y, one.likelihood), device, None)
        space = Space(tuple(f"axis {i}" for i in range(self.u.ndim)), tuple(self.u.shape), u.dtype)
        yield Call("value(u, y)", likelihood.value, (u, y), None)
        yield Call("grad(u, y)", likelihood.grad, (u, y), space)
        yield Call("prox(u, y, 0.7)", likelihood.prox, (u, y, 0.7), space)


def _near(y: Tensor) -> Tensor:
    """Predictions some way from the data; positive where all the data are ≥ 0, as counts and intensities are."""
    spread = length(y) / max(y.numel(), 1) ** 0.5 or 1.0
    noise = torch.randn(y.shape, dtype=y.dtype, generator=generator(4))
    if not y.is_complex() and bool((y >= 0).all()):
        return y + spread * (0.2 + noise.abs())
    return y + 0.5 * spread * noise
