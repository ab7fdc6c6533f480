"""An objective as a sum of terms g(K x), of which every g has a prox and every K is linear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from preimage.likelihoods import Gaussian, Likelihood
from preimage.offers import offers
from preimage.operators import Identity, LinearOperator
from preimage.priors import Composite, Proximable, owned_prox
from preimage.problem import Problem
from preimage.space import Blocks, Factor
from preimage_variational.owned import owned_add_adjoint, owned_add_applied, owned_ascent

MANY = 1000
"""Of priors that there may be, fewer than this."""


@dataclass(frozen=True)
class Term:
    """g(K x) of one unknown, or of all.

    Attributes
    ----------
    part : g, with a prox.
    linear : K.
    on : the unknown; None where there is only one, or where the term is of all.
    """

    part: Any
    linear: LinearOperator
    on: str | None = None

    def of(self, x: Any) -> Any:
        """K x; it may share memory with x."""
        return self.linear(x if self.on is None else x[self.on])

    def add_applied(self, y: Any, x: Any, alpha: Factor) -> Any:
        """Y + alpha · K x, over y."""
        return owned_add_applied(y, self.linear, x if self.on is None else x[self.on], alpha)

    def add_adjoint(self, x: Any, y: Any, alpha: Factor) -> Any:
        """X + alpha · Kᴴ y, over x."""
        return self._changed(x, lambda part: owned_add_adjoint(part, self.linear, y, alpha))

    def ascended(self, y: Any, x: Any, step: float) -> Any:
        """Prox of step · g* at y + step · K x, over y."""
        return owned_ascent(self.part, self.linear, y, x if self.on is None else x[self.on], step)

    def add_normal(self, y: Any, x: Any, alpha: Factor) -> Any:
        """Y + alpha · KᴴK x, over y."""
        looked_at = x if self.on is None else x[self.on]
        return self._changed(y, lambda part: self.linear.add_normal(part, looked_at, alpha))

    def prox(self, x: Any, step: Any) -> Any:
        """Prox of step · g at x, over x, for a term whose K is the identity."""
        return self._changed(x, lambda part: owned_prox(self.part, part, step))

    def _changed(self, x: Any, change: Callable[[Any], Any]) -> Any:
        """X with the unknown of the term changed."""
        return change(x) if self.on is None else Blocks({**x, self.on: change(x[self.on])})


@dataclass(frozen=True)
class Fit:
    """z ↦ ℓ(z, y): the likelihood of the data as a part with a prox."""

    likelihood: Likelihood
    y: Any

    def prox(self, z: Any, step: Any) -> Any:
        """Return argmin over w of ℓ(w, y) + ‖w − z‖²/(2·step)."""
        return self.likelihood.prox(z, self.y, step)


def is_quadratic(problem: Problem) -> bool:
    """Whether the data term is ½‖Ax − y‖²."""
    return isinstance(problem.likelihood, Gaussian)


def data_term(problem: Problem) -> Term:
    """ℓ(Ax, y)."""
    assert isinstance(problem.operator, LinearOperator)
    return Term(Fit(problem.likelihood, problem.y), problem.operator)


def prior_terms(problem: Problem) -> Iterator[Term]:
    """Yield a term for every prior: of x itself if it has a prox, else as it splits."""
    domain: Any = problem.domain
    for prior, on in zip(problem.priors, problem.on, strict=True):
        proximable = offers(prior, Proximable)
        if proximable is not None:
            yield Term(proximable, Identity(domain if on is None else domain[on]), on)
            continue
        composite = offers(prior, Composite)
        assert composite is not None
        part, linear = composite.split()
        yield Term(part, linear, on)


def run_norm(problem: Problem) -> float:
    """‖A‖ of a block: its part in the number of the run by which all blocks take equal steps."""
    assert isinstance(problem.operator, LinearOperator)
    return problem.operator.norm().safe
