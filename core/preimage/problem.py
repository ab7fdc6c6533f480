"""One inverse problem: data, physics, noise and what is known of the unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor

from preimage.errors import CapabilityError
from preimage.likelihoods import Gaussian, Likelihood, expected, is_phaseless
from preimage.movable import moved
from preimage.offers import offers
from preimage.operators import LinearOperator, Operator
from preimage.operators.base import Ambiguity
from preimage.priors import Differentiable
from preimage.space import AnySpace, Blocks, Element, leaves
from preimage.unknowns import unknown


@dataclass(frozen=True)
class Problem:
    """Minimise ℓ(A(x), y) + Σ R(x), or sample the posterior that it stands for.

    Attributes
    ----------
    y : measurement, (*batch, *codomain); of real numbers under a likelihood that sees no phase.
    operator : A.
    likelihood : ℓ.
    priors : the R, with their weights inside.
    on : for each prior the name of the unknown that it is for; None where there is only one.
    scalars : numbers of the whole run, such as `norm`, that blocks must agree on.
    seed : the key of this problem's random numbers.

    Raises
    ------
    DataError : a prior is on an unknown that is not there.
    """

    y: Any
    operator: Operator
    likelihood: Likelihood = field(default_factory=Gaussian)
    priors: tuple[Any, ...] = ()
    on: tuple[str | None, ...] = ()
    scalars: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        """Give every prior an entry in `on`."""
        if not self.on:
            object.__setattr__(self, "on", (None,) * len(self.priors))
        for on in self.on:
            unknown(self.domain, on)

    @property
    def domain(self) -> AnySpace:
        """The space of x."""
        return self.operator.domain

    @property
    def batch(self) -> tuple[int, ...]:
        """Shape of the batch dims."""
        return self.operator.codomain.batch(self.y)

    @property
    def device(self) -> torch.device:
        """Where the data lie."""
        return leaves(self.y)[0].device

    @property
    def ambiguity(self) -> Ambiguity:
        """What leaves the data as they are: of the operator, and of a linear one the phase that no likelihood sees."""
        operator = self.operator
        if not isinstance(operator, LinearOperator) or not is_phaseless(self.likelihood):
            return operator.ambiguity
        return operator.ambiguity | {"phase" if self.domain.is_complex and operator.complex_linear else "sign"}

    def zeros(self, space: AnySpace | None = None) -> Any:
        """The zero of the domain, or of another space, with the batch and device of the data."""
        return (space or self.domain).zeros(self.batch, self.device)

    def data_gradient(self, x: Any) -> Any:
        """The gradient of ℓ(A(x), y): J(x)ᴴ ∇ℓ."""
        predicted, pull = self.operator.pullback(x)
        return pull(self.likelihood.grad(predicted, self.y))

    def gradient(self, x: Any) -> Any:
        """The gradient of ℓ(A(x), y) + Σ R(x).

        Raises
        ------
        CapabilityError : a prior is not `Differentiable`.
        """
        total = self.data_gradient(x)
        for prior, on in zip(self.priors, self.on, strict=True):
            smooth = offers(prior, Differentiable)
            if smooth is None:
                raise CapabilityError(f"the prior {type(prior).__name__} has no gradient: it is no Differentiable")
            if on is None:
                total = total + smooth.grad(x)
            else:
                total = Blocks({**total, on: total[on] + smooth.grad(x[on])})
        return total

    def backprojection(self) -> Any:
        """Aᴴy of a linear operator; of real data of a complex codomain, such as magnitudes, at the phase 0."""
        assert isinstance(self.operator, LinearOperator)
        y = self.y + self.zeros(self.operator.codomain) if is_phaseless(self.likelihood) else self.y
        return self.operator.adjoint(y)

    def objective(self, x: Any, predicted: Any = None) -> Tensor:
        """ℓ(A(x), y) + Σ R(x), shape (*batch,); `predicted` is A(x) where it is known already.

        A prior without a value, such as a denoiser, does not count.
        """
        predicted = self.operator(x) if predicted is None else predicted
        values = [
            self.likelihood.value(_at(predicted, i), _at(self.y, i)) + self._prior_value(_at(x, i))
            for i in self._elements()
        ]
        return torch.stack(values).reshape(self.batch)

    def misfit(self, x: Any, predicted: Any = None) -> Any:
        """E[y|x] − y: what the data should be for this x, less the data; under Gaussian noise A(x) − y."""
        predicted = self.operator(x) if predicted is None else predicted
        return expected(self.likelihood, predicted) - self.y

    def residual(self, x: Any, *, misfit: Any = None) -> Tensor:
        """‖E[y|x] − y‖ / ‖y‖, shape (*batch,); `misfit` is what is between the bars where it is known already."""
        codomain: Any = self.operator.codomain
        misfit = self.misfit(x) if misfit is None else misfit
        misfit2: Tensor = codomain.squared_norm(misfit).reshape(self.batch)
        data2: Tensor = codomain.squared_norm(self.y).reshape(self.batch)
        return (misfit2 / data2.clamp_min(torch.finfo(data2.dtype).tiny)).sqrt()

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Problem:
        """A copy on another device or in another precision."""
        return replace(
            self,
            y=moved(self.y, device, dtype),
            operator=self.operator.to(device, dtype),
            likelihood=moved(self.likelihood, device, dtype),
            priors=moved(self.priors, device, dtype),
        )

    def _prior_value(self, x: Any) -> Tensor | float:
        total: Tensor | float = 0.0
        for prior, on in zip(self.priors, self.on, strict=True):
            if hasattr(prior, "value"):
                total = total + prior.value(x if on is None else x[on])
        return total

    def _elements(self) -> Iterator[tuple[int, ...]]:
        return product(*map(range, self.batch))


def _at(x: Any, index: tuple[int, ...]) -> Element:
    return Blocks({name: part[index] for name, part in x.items()}) if isinstance(x, Blocks) else x[index]
