"""The law of priors that couple blocks: a block has its share of them, and the shares are the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import xarray as xr

from preimage.declarations import Axis
from preimage.offers import offers
from preimage.operators import LinearOperator
from preimage.priors import Composite, Valued
from preimage.space import Space
from preimage.testing.comparing import expect_close, length
from preimage.testing.datasets import Cut, cuttings
from preimage.testing.examples import PriorExample
from preimage.testing.law import LawBroken, Laws, NotOffered
from preimage.testing.laws.making import section
from preimage.testing.laws.priors import shortened

SHARES = Laws()

STEP = 0.3


@SHARES.each
@torch.no_grad()
def shares(example: PriorExample) -> None:
    """Of a prior g(K x) with a halo, K of a block read with its halo is K of the whole there, and g of blocks adds up.

    A solver that lets blocks agree, such as consensus ADMM, relies on it.
    """
    outer, linear = example.offered(Composite).split()
    context = {"settings": example.settings, "dataset": xr.Dataset(), "domain": example.space}
    declared: Mapping[str, Axis] = example.by_method.ask("preimage_axes", **context) or {}
    reaching = {dim: axis for dim, axis in declared.items() if axis.reach}
    if not reaching or not isinstance(example.space, Space):
        raise NotOffered("the prior couples no blocks of one unknown")
    for dim, axis in reaching.items():
        _expect_anchors(linear, dim, axis)
    x, shared = example.x(1), dict[str, Any]()
    whole, shrunk = linear(x), outer.prox(linear(x), STEP)
    for cuts in cuttings(reaching, example.space.sizes):
        total = torch.zeros((), dtype=torch.float64)
        for cut in cuts:
            wide = _split(example, cut.dim, cut.read, shared)[1]
            found = section(wide.codomain, wide(section(example.space, x, cut.dim, cut.read)), cut.dim, cut.inner)
            _expect_block(found, linear, whole, cut, "K", f"is {cut.dim!r} really {cut.axis}?")
            ours = _split(example, cut.dim, cut.block, shared)[0]
            _expect_block(ours.prox(found, STEP), linear, shrunk, cut, f"the prox(·, {STEP}) of g", "g couples blocks")
            total += ours.value(found) if isinstance(outer, Valued) else 0
        if isinstance(outer, Valued):
            expect_close(total, outer.value(whole), f"g(K x) summed over blocks along {cuts[0].dim!r} and whole")


def _expect_anchors(linear: LinearOperator, dim: str, axis: Axis) -> None:
    """Raise `LawBroken` unless K x has an index along a dim for each of x."""
    assert isinstance(linear.domain, Space)
    codomain = linear.codomain
    if not isinstance(codomain, Space) or codomain.sizes.get(dim) != linear.domain.sizes[dim]:
        raise LawBroken(
            f"{dim!r} is declared {axis}, and K of split() gives {codomain}: along {dim!r} it has to be as long as the "
            "image, so that blocks have their shares of it. Else the dim is whole"
        )


def _split(example: PriorExample, dim: str, part: slice, shared: dict[str, Any]) -> tuple[Any, LinearOperator]:
    """The g and K of the prior on a part of the image."""
    composite = offers(example.on(shortened(example.space, dim, part.stop - part.start), shared), Composite)
    assert composite is not None
    return composite.split()  # type: ignore[no-any-return]


def _expect_block(found: Any, linear: LinearOperator, whole: Any, cut: Cut, what: str, cause: str) -> None:
    expected = section(linear.codomain, whole, cut.dim, cut.block)
    expect_close(found, expected, f"{what} of {cut} and that block of the whole's", cause, scale=length(whole))
