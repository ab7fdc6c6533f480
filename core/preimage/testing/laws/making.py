"""Laws of how an operator is made: from headers it says what it will be, and in blocks it is what it is as a whole."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
import xarray as xr

from preimage.data import located
from preimage.declarations import Axis, split
from preimage.errors import RequestError
from preimage.operators import LinearOperator, Operator
from preimage.space import AnySpace, Blocks, Space
from preimage.testing.comparing import expect_close, length
from preimage.testing.datasets import Cut, cuttings, headers_alone, in_precision
from preimage.testing.examples import OperatorExample
from preimage.testing.law import LawBroken, Laws, NotOffered
from preimage.testing.laws.planning import expect_planned, expect_requires
from preimage.unknowns import told, unknowns_of

MAKING = Laws()


@MAKING.all
def requires(subject: Any) -> None:
    """`requires` names variables and dims that the examples have, and all that no example can do without."""
    expect_requires(subject, lambda example, dataset: example.remade(dataset))


@MAKING.each
def headers_only(example: OperatorExample) -> None:
    """Spaces, axes, memory and proposed preparations are found from headers alone."""
    method, dataset = example.by_method
    closed = headers_alone(dataset, "a hook that plans")
    expect_planned(method, settings=example.settings, dataset=closed, domain=example.operator.domain)


@MAKING.each
def spaces(example: OperatorExample) -> None:
    """The declared spaces are those of the operator that is made."""
    method, dataset = example.by_method
    if not method.implements("preimage_spaces"):
        raise NotOffered("the method does not declare its spaces")
    closed = headers_alone(dataset, "preimage_spaces")
    declared = method.ask("preimage_spaces", settings=example.settings, dataset=closed)
    made = example.remade(dataset)
    for name, one, other in zip(("domain", "codomain"), declared, (made.domain, made.codomain), strict=True):
        if one != other:
            raise LawBroken(f"preimage_spaces says that the {name} is {one}, the operator's is {other}")


@MAKING.each
def unknowns(example: OperatorExample) -> None:
    """preimage_unknowns names the unknowns from the settings alone, where there are several."""
    method, _ = example.by_method
    declared = tuple(method.ask("preimage_unknowns", settings=example.settings) or ())
    made = unknowns_of(example.operator.domain)
    if set(declared) != set(made):
        raise LawBroken(f"of the operator that is made {told(made)}, by preimage_unknowns {told(declared)}")
    if not made:
        raise NotOffered("the operator has one unknown")


@MAKING.each
def follows_precision(example: OperatorExample) -> None:
    """The operator of a dataset in double precision is in double precision, of one in single precision in single."""
    _, dataset = example.by_method
    if not any(array.dtype.kind in "fc" for array in dataset.data_vars.values()):
        raise NotOffered("the dataset has no real or complex variable")
    for dtype in (torch.float32, torch.float64):
        made = example.remade(in_precision(dataset, dtype))
        for name, space in (("domain", made.domain), ("codomain", made.codomain)):
            if space != space.with_dtype(dtype):
                raise LawBroken(f"of variables in {dtype} an operator is made whose {name} is {space}")


@MAKING.each
@torch.no_grad()
def axes(example: OperatorExample) -> None:
    """Along dims declared split or halo, the operators of blocks give the blocks of what the whole one gives."""
    method, dataset = example.by_method
    operator = example.operator
    declared: Mapping[str, Axis] = (
        method.ask("preimage_axes", settings=example.settings, dataset=dataset, domain=operator.domain) or {}
    )
    domain, codomain = operator.domain.sizes, operator.codomain.sizes
    for dim, axis in declared.items():
        if dim not in domain and dim not in codomain:
            raise LawBroken(f"{dim!r} is declared {axis}: neither the domain nor the codomain has that dim")
        if axis.reach is not None and (domain.get(dim) != codomain.get(dim) or dim not in dataset.dims):
            raise LawBroken(
                f"{dim!r} is declared {axis}, and is {domain.get(dim)} long in the domain, {codomain.get(dim)} in the "
                f"codomain, {dataset.sizes.get(dim)} in the dataset: a dim that they do not share is whole"
            )
    x, y, shared = example.x(1), example.y(2), dict[str, Any]()
    example.remade(dataset, shared)  # a worker keeps `shared` from one block to the next: so do these blocks
    forth, back = operator(x), operator.adjoint(y) if isinstance(operator, LinearOperator) else None
    for cut in itertools.chain.from_iterable(cuttings(declared, domain)):
        part = _made_of(cut, example, dataset, shared)
        cause = f"is {cut.dim!r} really {cut.axis}, and is what is kept in `shared` keyed by all that it depends on?"
        found = section(part.codomain, part(section(operator.domain, x, cut.dim, cut.read)), cut.dim, cut.inner)
        expected = section(operator.codomain, forth, cut.dim, cut.block)
        expect_close(found, expected, f"A of {cut} and that block of A(x)", cause, scale=length(forth))
        if cut.axis == split and isinstance(part, LinearOperator) and back is not None:
            found = part.adjoint(section(operator.codomain, y, cut.dim, cut.block))
            expected = section(operator.domain, back, cut.dim, cut.block)
            expect_close(found, expected, f"Aᴴ of {cut} and that block of Aᴴy", cause, scale=length(back))


def section(space: AnySpace, x: Any, dim: str, block: slice) -> Any:
    """The part of an element along a dim; parts of a product that lack the dim stay whole."""
    if isinstance(space, Space):
        return x.narrow(space.axis(dim), block.start, block.stop - block.start) if dim in space.dims else x
    return Blocks({name: section(part, x[name], dim, block) for name, part in space.items()})


def _made_of(cut: Cut, example: OperatorExample, dataset: xr.Dataset, shared: dict[str, Any]) -> Operator:
    try:
        return example.remade(located(dataset, {cut.dim: cut.read}), shared)
    except RequestError as error:
        raise LawBroken(f"for the whole there is an operator, and for {cut} it is refused: {error}") from None
