"""Operators of any kind: y = A(x)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from preimage.errors import RequestError
from preimage.movable import Movable
from preimage.space import AnySpace, Blocks, Element, ProductSpace

if TYPE_CHECKING:
    from preimage.operators.linear import LinearOperator

Ambiguity = frozenset[str]
"""Which of phase, sign, shift, flip, scale leave the data as they are."""


class Operator(Movable):
    """A differentiable map between spaces. Implement `_apply` with torch functions; call `A(x)`.

    Calls are pure: they change neither the operator nor their argument.
    """

    ambiguity: Ambiguity = frozenset()
    multilinear: ClassVar[bool] = False
    """Whether A is linear in each part of a product space while the others are held."""

    def __init__(self, domain: AnySpace, codomain: AnySpace) -> None:
        self.domain = domain
        self.codomain = codomain

    def _apply(self, x: Any) -> Any:
        """A(x), for an x that is known to be an element of the domain."""
        raise NotImplementedError(f"{type(self).__name__} must implement _apply(x)")

    def __call__(self, x: Any) -> Any:
        """A(x), shape (*batch, *codomain)."""
        return self._apply(self.domain.check(x))

    def pullback(self, x: Any) -> tuple[Any, Callable[[Any], Any]]:
        """A(x) together with w ↦ J(x)ᴴ w, at the cost of one forward pass."""
        y, pull, *_ = torch.func.vjp(self.__call__, x)
        return y, lambda w: pull(w)[0]

    def vjp(self, x: Any, w: Any) -> Any:
        """J(x)ᴴ w: the adjoint of the derivative at x."""
        return self.pullback(x)[1](w)

    def jvp(self, x: Any, v: Any) -> Any:
        """J(x) v: the derivative at x along v."""
        return torch.func.jvp(self.__call__, (x,), (v,))[1]

    def linearize(self, x: Any) -> LinearOperator:
        """The derivative at x, as a linear operator; complex operators are linear over the reals only."""
        from preimage.operators.linear import Linearized

        return Linearized(self, x)

    def fix(self, **known: Any) -> LinearOperator:
        """The operator of the one unknown that is left when the others are `known`, for a multilinear one."""
        from preimage.operators.linear import Fixed

        if not (self.multilinear and isinstance(self.domain, ProductSpace)):
            raise RequestError(f"{type(self).__name__} is not multilinear in several unknowns: nothing can be fixed")
        return Fixed(self, Blocks(known))

    def initial(self, y: Any, seed: int = 0) -> Element:
        """A point from which an iteration may start, computed from the data."""
        raise RequestError(
            f"{type(self).__name__} is not linear and offers no initial estimate: give the solver a start x0"
        )

    def __matmul__(self, other: Operator) -> Operator:
        """A @ B: first B, then A."""
        from preimage.operators.algebra import compose

        return compose(self, other)
