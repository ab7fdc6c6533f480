"""Operators as examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from preimage.movable import moved
from preimage.offers import offers
from preimage.operators import LinearOperator, MaskedTransform, NormalSolvable, Operator, PseudoInvertible
from preimage.testing.calling import Method
from preimage.testing.comparing import DOUBLE, from_vector, length, size, vector
from preimage.testing.datasets import in_precision
from preimage.testing.examples.calls import Call, drawn
from preimage.testing.law import NotOffered

DENSE = 2**20
"""Entries of the largest matrix that is written out to look at its singular values: about a second of work."""


@dataclass(frozen=True)
class OperatorExample:
    """An operator in double precision, and how it was made.

    Attributes
    ----------
    operator : in double precision.
    method, settings, dataset : how it was made; None for an operator that was made by hand.
    label : names the example in messages.
    """

    operator: Operator
    method: Method | None = None
    settings: Any = None
    dataset: xr.Dataset | None = None
    label: str = ""

    @classmethod
    def made(cls, method: Method, settings: Any, dataset: xr.Dataset, label: str) -> OperatorExample:
        """Cast the dataset to double precision, and make the operator from it."""
        exact = in_precision(dataset, DOUBLE)
        operator = method.make(settings=settings, dataset=exact, shared={})
        return cls(_in_precision(operator, DOUBLE), method, settings, exact, label)

    @property
    def part(self) -> Operator:
        """What was made."""
        return self.operator

    @cached_property
    def linear(self) -> LinearOperator:
        """The operator, for laws of linear ones."""
        if not isinstance(self.operator, LinearOperator):
            raise NotOffered("the operator is not linear")
        return self.operator

    @property
    def by_method(self) -> tuple[Method, xr.Dataset]:
        """The method and the dataset, for laws on how an operator is made."""
        if self.method is None or self.dataset is None:
            raise NotOffered("the operator was not made by a method")
        return self.method, self.dataset

    def at(self, dtype: torch.dtype) -> Operator:
        """The operator in another precision, made from a dataset of that precision where there is one."""
        if dtype == DOUBLE:
            return self.operator
        if self.dataset is None:
            return self.operator.to(dtype=dtype)
        return _in_precision(self.remade(in_precision(self.dataset, dtype)), dtype)

    def remade(self, dataset: xr.Dataset, shared: dict[str, Any] | None = None) -> Operator:
        """The operator of another dataset, such as a block of this one's."""
        method, _ = self.by_method
        shared = {} if shared is None else shared
        return method.make(settings=self.settings, dataset=dataset, shared=shared)  # type: ignore[no-any-return]

    @cached_property
    def matrix(self) -> Tensor:
        """The linear operator as a real matrix, for complex spaces of twice the size; made column by column."""
        domain, n, m = self.linear.domain, size(self.linear.domain), size(self.linear.codomain)
        if n * m > DENSE:
            raise NotOffered(f"its matrix would be {m} × {n}: an example with fewer elements is needed")
        with torch.no_grad():
            units = (moved(from_vector(domain, unit), self.linear.device, None) for unit in torch.eye(n, dtype=DOUBLE))
            return torch.stack([vector(self.linear(unit)).cpu() for unit in units], dim=1)

    @cached_property
    def norm(self) -> float:
        """‖A‖ by a dense SVD; a bound from below for an operator that is not linear, or too large."""
        try:
            return float(torch.linalg.matrix_norm(self.matrix, 2))
        except NotOffered:
            x = self.x(9)
            return length(self.operator(x)) / length(x)

    def x(self, seed: int, batch: tuple[int, ...] = ()) -> Any:
        """A random element of the domain."""
        return drawn(self.operator.domain, seed, batch, self.operator.device)

    def y(self, seed: int, batch: tuple[int, ...] = ()) -> Any:
        """A random element of the codomain."""
        return drawn(self.operator.codomain, seed, batch, self.operator.device)

    def calls(self, batch: tuple[int, ...] = (), dtype: torch.dtype = DOUBLE, device: Any = None) -> Iterator[Call]:
        """Yield the public calls of the operator."""
        operator = self.at(dtype)
        operator = operator if device is None else operator.to(device)
        x = drawn(operator.domain, 1, batch, device or operator.device)
        yield Call("A(x)", operator, (x,), operator.codomain)
        if isinstance(operator, LinearOperator):
            y = drawn(operator.codomain, 2, batch, device or operator.device)
            yield Call("adjoint(y)", operator.adjoint, (y,), operator.domain)
            yield Call("normal(x)", operator.normal, (x,), operator.domain)
            if solvable := offers(operator, NormalSolvable):
                yield Call("solve_normal(x, 0.7)", solvable.solve_normal, (x, 0.7), operator.domain)
            if invertible := offers(operator, PseudoInvertible):
                yield Call("pinv(y)", invertible.pinv, (y,), operator.domain)
            if masked := offers(operator, MaskedTransform):
                yield Call("T⁻¹T x", lambda x: masked.inverse_transform(masked.transform(x)), (x,), operator.domain)


def _in_precision(operator: Operator, dtype: torch.dtype) -> Operator:
    """Convert the operator only where the dataset did not decide on its precision: a copy would hide what is wrong."""
    spaces = operator.domain, operator.codomain
    return operator if all(space == space.with_dtype(dtype) for space in spaces) else operator.to(dtype=dtype)
