"""Operators made of operators: scaling, sums, composition, stacks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from preimage.errors import SpaceError
from preimage.offers import offers
from preimage.operators.base import Operator
from preimage.operators.capabilities import SVD, HasSVD, NormalSolvable, PseudoInvertible
from preimage.operators.linear import LinearOperator
from preimage.operators.norm import Norm, norm_of_diagonal, norm_of_stack, norm_of_sum
from preimage.space import AnySpace, Blocks, ProductSpace


class Identity(LinearOperator):
    """x ↦ x."""

    composite = True

    def __init__(self, space: AnySpace) -> None:
        super().__init__(space, space)

    def _apply(self, x: Any) -> Any:
        return x

    def _apply_adjoint(self, y: Any) -> Any:
        return y

    def _apply_normal(self, x: Any) -> Any:
        return x

    def _bound(self) -> Norm:
        return Norm(1.0, "exact")

    def solve_normal(self, rhs: Any, damping: Any) -> Any:
        """Rhs / (1 + damping)."""
        return rhs * (1 / (1 + damping))

    def pinv(self, y: Any) -> Any:
        """Y itself."""
        return y

    def svd(self) -> SVD:
        """U = V = I, s = 1."""
        return SVD(self, torch.ones(()), self)

    def transform(self, x: Any) -> Any:
        """X itself."""
        return x

    def inverse_transform(self, spectrum: Any) -> Any:
        """The spectrum itself."""
        return spectrum

    def sampling_mask(self) -> torch.Tensor:
        """Everything is measured."""
        return torch.ones((), dtype=torch.bool)


class Adjoint(LinearOperator):
    """Aᴴ."""

    composite = True

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.codomain, operator.domain)
        self.operator = operator
        self.complex_linear = operator.complex_linear

    def _apply(self, x: Any) -> Any:
        return self.operator.adjoint(x)

    def _apply_adjoint(self, y: Any) -> Any:
        return self.operator(y)

    def _bound(self) -> Norm:
        return self.operator.norm()

    @property
    def H(self) -> LinearOperator:
        """The operator itself."""
        return self.operator


class Scaled(LinearOperator):
    """c · A."""

    composite = True

    def __init__(self, factor: complex, operator: LinearOperator) -> None:
        if isinstance(factor, complex) and not operator.codomain.is_complex:
            raise SpaceError(f"{factor} times an operator with a real codomain is not an operator: {operator.codomain}")
        super().__init__(operator.domain, operator.codomain)
        self.factor = factor
        self.operator = operator
        self.complex_linear = operator.complex_linear

    def _apply(self, x: Any) -> Any:
        return self.operator(x) * self.factor

    def _apply_adjoint(self, y: Any) -> Any:
        return self.operator.adjoint(y * self._conjugate)

    def _apply_normal(self, x: Any) -> Any:
        return self.operator.normal(x) * abs(self.factor) ** 2

    @property
    def _conjugate(self) -> complex:
        return self.factor.conjugate() if isinstance(self.factor, complex) else self.factor

    def _bound(self) -> Norm:
        return self.operator.norm().scaled(abs(self.factor))

    def derive(self, capability: Any) -> Any:
        """What c · A offers because A does."""
        if self.factor == 0 or (inner := offers(self.operator, capability)) is None:
            return None
        size2 = abs(self.factor) ** 2
        if capability is NormalSolvable:
            return SimpleNamespace(
                solve_normal=lambda rhs, damping: inner.solve_normal(rhs, damping / size2) * (1 / size2)
            )
        if capability is PseudoInvertible:
            return SimpleNamespace(pinv=lambda y: inner.pinv(y) * (1 / self.factor))
        if capability is HasSVD:
            return SimpleNamespace(svd=lambda: self._scaled_svd(inner.svd()))
        return None

    def _scaled_svd(self, svd: SVD) -> SVD:
        """Singular values are ≥ 0: the phase of c goes into U."""
        phase = self._conjugate / abs(self.factor)
        return SVD(svd.v, svd.s * abs(self.factor), Scaled(phase, svd.uh))


class Sum(LinearOperator):
    """A + B + …, between the same spaces."""

    composite = True

    def __init__(self, *operators: LinearOperator) -> None:
        first = operators[0]
        for other in operators[1:]:
            _same("add", "domain", first.domain, other.domain)
            _same("add", "codomain", first.codomain, other.codomain)
        super().__init__(first.domain, first.codomain)
        self.operators = operators
        self.complex_linear = all(op.complex_linear for op in operators)

    def _apply(self, x: Any) -> Any:
        return _total([op(x) for op in self.operators])

    def _apply_adjoint(self, y: Any) -> Any:
        return _total([op.adjoint(y) for op in self.operators])

    def _bound(self) -> Norm:
        return norm_of_sum(op.norm() for op in self.operators)


class Composed(Operator):
    """A @ B for operators of which at least one is not linear."""

    def __init__(self, outer: Operator, inner: Operator) -> None:
        _same("compose", "space between them", outer.domain, inner.codomain)
        super().__init__(inner.domain, outer.codomain)
        self.outer = outer
        self.inner = inner
        self.ambiguity = inner.ambiguity

    def _apply(self, x: Any) -> Any:
        return self.outer(self.inner(x))


class LinearComposed(LinearOperator):
    """A @ B for linear operators."""

    composite = True

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        _same("compose", "space between them", outer.domain, inner.codomain)
        super().__init__(inner.domain, outer.codomain)
        self.outer = outer
        self.inner = inner
        self.complex_linear = outer.complex_linear and inner.complex_linear

    def _apply(self, x: Any) -> Any:
        return self.outer(self.inner(x))

    def _apply_adjoint(self, y: Any) -> Any:
        return self.inner.adjoint(self.outer.adjoint(y))

    def _apply_normal(self, x: Any) -> Any:
        return self.inner.adjoint(self.outer.normal(self.inner(x)))  # keeps the outer one's short way

    def _bound(self) -> Norm:
        return self.outer.norm() * self.inner.norm()


class VStack(LinearOperator):
    """x ↦ (A x, B x, …), an element of a product space."""

    composite = True

    def __init__(self, operators: dict[str, LinearOperator]) -> None:
        first = next(iter(operators.values()))
        for other in operators.values():
            _same("stack", "domain", first.domain, other.domain)
        super().__init__(first.domain, _product("stack", {k: op.codomain for k, op in operators.items()}))
        self.operators = operators
        self.complex_linear = all(op.complex_linear for op in operators.values())

    def _apply(self, x: Any) -> Any:
        return Blocks({name: op(x) for name, op in self.operators.items()})

    def _apply_adjoint(self, y: Any) -> Any:
        return _total([op.adjoint(y[name]) for name, op in self.operators.items()])

    def _apply_normal(self, x: Any) -> Any:
        return _total([op.normal(x) for op in self.operators.values()])

    def _bound(self) -> Norm:
        return norm_of_stack(op.norm() for op in self.operators.values())


class HStack(LinearOperator):
    """(x, z, …) ↦ A x + B z + …, from a product space."""

    composite = True

    def __init__(self, operators: dict[str, LinearOperator]) -> None:
        first = next(iter(operators.values()))
        for other in operators.values():
            _same("stack", "codomain", first.codomain, other.codomain)
        super().__init__(_product("stack", {k: op.domain for k, op in operators.items()}), first.codomain)
        self.operators = operators
        self.complex_linear = all(op.complex_linear for op in operators.values())

    def _apply(self, x: Any) -> Any:
        return _total([op(x[name]) for name, op in self.operators.items()])

    def _apply_adjoint(self, y: Any) -> Any:
        return Blocks({name: op.adjoint(y) for name, op in self.operators.items()})

    def _bound(self) -> Norm:
        return norm_of_stack(op.norm() for op in self.operators.values())


class BlockDiagonal(LinearOperator):
    """(x, z, …) ↦ (A x, B z, …), between product spaces."""

    composite = True

    def __init__(self, operators: dict[str, LinearOperator]) -> None:
        super().__init__(
            _product("join", {name: op.domain for name, op in operators.items()}),
            _product("join", {name: op.codomain for name, op in operators.items()}),
        )
        self.operators = operators
        self.complex_linear = all(op.complex_linear for op in operators.values())

    def _apply(self, x: Any) -> Any:
        return Blocks({name: op(x[name]) for name, op in self.operators.items()})

    def _apply_adjoint(self, y: Any) -> Any:
        return Blocks({name: op.adjoint(y[name]) for name, op in self.operators.items()})

    def _apply_normal(self, x: Any) -> Any:
        return Blocks({name: op.normal(x[name]) for name, op in self.operators.items()})

    def _bound(self) -> Norm:
        return norm_of_diagonal(op.norm() for op in self.operators.values())

    def derive(self, capability: Any) -> Any:
        """What holds part by part if it holds for every part."""
        inner: dict[str, Any] = {name: offers(op, capability) for name, op in self.operators.items()}
        if any(part is None for part in inner.values()):
            return None
        if capability is NormalSolvable:
            return SimpleNamespace(
                solve_normal=lambda rhs, damping: Blocks(
                    {name: part.solve_normal(rhs[name], damping) for name, part in inner.items()}
                )
            )
        if capability is PseudoInvertible:
            return SimpleNamespace(pinv=lambda y: Blocks({name: part.pinv(y[name]) for name, part in inner.items()}))
        return None


def compose(outer: Operator, inner: Operator) -> Operator:
    """Outer @ inner; linear where both are."""
    if isinstance(outer, LinearOperator) and isinstance(inner, LinearOperator):
        return LinearComposed(outer, inner)
    return Composed(outer, inner)


def vstack(**operators: LinearOperator) -> LinearOperator:
    """x ↦ the Blocks of every A x, under the operators' names."""
    return VStack(operators)


def hstack(**operators: LinearOperator) -> LinearOperator:
    """Blocks x ↦ Σ A x[name]."""
    return HStack(operators)


def block_diag(**operators: LinearOperator) -> LinearOperator:
    """Blocks x ↦ the Blocks of every A x[name]."""
    return BlockDiagonal(operators)


def _total(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _same(verb: str, what: str, one: AnySpace, other: AnySpace) -> None:
    if one != other:
        raise SpaceError(f"cannot {verb} these operators: the {what} is {one} for one and {other} for the other")


def _product(verb: str, spaces: dict[str, AnySpace]) -> ProductSpace:
    plain = {}
    for name, space in spaces.items():
        if isinstance(space, ProductSpace):
            raise SpaceError(f"cannot {verb} these operators: part {name!r} is itself a product space")
        plain[name] = space
    return ProductSpace(**plain)
