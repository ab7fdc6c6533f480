"""Priors as examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import xarray as xr

from preimage.movable import moved
from preimage.offers import offers
from preimage.priors import Denoiser, Differentiable, Generative, LogDensity, Proximable, Valued
from preimage.space import AnySpace, Space, leaves
from preimage.testing.calling import Method
from preimage.testing.comparing import DOUBLE
from preimage.testing.examples.calls import Call, drawn, is_double
from preimage.testing.law import NotOffered


@dataclass(frozen=True)
class PriorExample:
    """A prior on a space of double precision.

    Attributes
    ----------
    prior, space : the prior and its domain.
    method, settings : how it was made; None for a prior that was made by hand.
    label : names the example in messages.
    """

    prior: Any
    space: AnySpace
    method: Method | None = None
    settings: Any = None
    label: str = ""

    @classmethod
    def made(cls, method: Method, settings: Any, space: AnySpace, label: str) -> PriorExample:
        """Make the prior on the space in double precision."""
        exact = space.with_dtype(DOUBLE)
        return cls(_make(method, settings, exact), exact, method, settings, label)

    @property
    def part(self) -> Any:
        """What was made."""
        return self.prior

    @property
    def by_method(self) -> Method:
        """The method, for laws on how a prior is made."""
        if self.method is None:
            raise NotOffered("the prior was not made by a method")
        return self.method

    def on(self, space: AnySpace, shared: dict[str, Any] | None = None) -> Any:
        """The prior on another space: of another precision, or a block of this one's."""
        dtype = DOUBLE if is_double(space) else torch.float32
        if self.method is None:
            return moved(self.prior, None, dtype)
        return _make(self.method, self.settings, space, shared)

    def offered(self, capability: Any) -> Any:
        """The capability of the prior; `NotOffered` where it has none."""
        found = offers(self.prior, capability)
        if found is None:
            raise NotOffered(f"the prior is no {capability.__name__}")
        return found

    def claims(self, name: str, *, default: bool) -> bool:
        """One of the claims `convex`, `phase_equivariant` and `scale_equivariant`, which a prior may make."""
        return bool(getattr(self.prior, name, default))

    def x(self, seed: int, batch: tuple[int, ...] = ()) -> Any:
        """A random element of the domain."""
        return drawn(self.space, seed, batch)

    def calls(self, batch: tuple[int, ...] = (), dtype: torch.dtype = DOUBLE, device: Any = None) -> Iterator[Call]:
        """Yield the public calls of the prior."""
        space = self.space.with_dtype(dtype)
        yield from prior_calls(moved(self.on(space), device, None), space, drawn(space, 1, batch, device), batch)


def prior_calls(prior: Any, space: AnySpace, x: Any, batch: tuple[int, ...] = ()) -> Iterator[Call]:
    """Yield the public calls of a prior at a point."""
    if valued := offers(prior, Valued):
        yield Call("value(x)", valued.value, (x,), None)
    if differentiable := offers(prior, Differentiable):
        yield Call("grad(x)", differentiable.grad, (x,), space)
    if proximable := offers(prior, Proximable):
        yield Call("prox(x, 0.7)", proximable.prox, (x, 0.7), space)
    if denoiser := offers(prior, Denoiser):
        yield Call("denoise(x, 0.3)", denoiser.denoise, (x, 0.3), space)
    if generative := offers(prior, Generative):
        z = drawn(generative.latent(), 3, batch, leaves(x)[0].device)
        yield Call("generate(z)", generative.generate, (z,), space)
    if density := offers(prior, LogDensity):
        numbers = Space((), (), DOUBLE if is_double(space) else torch.float32)
        yield Call("log_prob(x)", density.log_prob, (x,), numbers)


def _make(method: Method, settings: Any, space: AnySpace, shared: dict[str, Any] | None = None) -> Any:
    """Weights that a prior reads from a file have a precision of their own, so the prior is converted as well."""
    shared = {} if shared is None else shared
    prior = method.make(settings=settings, domain=space, dataset=xr.Dataset(), shared=shared)
    return moved(prior, None, DOUBLE if is_double(space) else torch.float32)
