"""Laws of derivatives: against finite differences, and by autograd in both modes and twice."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from preimage.operators import LinearOperator
from preimage.space import Blocks, ProductSpace, leaves
from preimage.testing.comparing import SLOPE, dot, expect_close, expect_same_number, gradient, length, slope
from preimage.testing.examples import OperatorExample
from preimage.testing.law import LawBroken, Laws, NotOffered

DERIVATIVES = Laws()

CHAIN = 1e-10
"""Of two exact ways to one derivative: the rounding of a chain of operations and of its reverse."""


@DERIVATIVES.each
@torch.no_grad()
def derivative(example: OperatorExample) -> None:
    """J(x)v and J(x)ᴴw against finite differences, and the pullback and the linearisation against both."""
    operator, x, v, w = example.operator, example.x(1), example.x(2), example.y(3)
    along, pulled = slope(operator, x, v), operator.vjp(x, w)
    scale = max(length(along), example.norm * length(v))
    expect_close(operator.jvp(x, v), along, "jvp(x, v) and a finite difference", tolerance=SLOPE, scale=scale)
    expect_same_number(
        dot(v, pulled), dot(along, w), "Re ⟨v, vjp(x, w)⟩ and a finite difference", scale=scale * length(w)
    )
    value, pull = operator.pullback(x)
    expect_close(value, operator(x), "the value of pullback(x) and A(x)", tolerance=CHAIN)
    expect_close(pull(w), pulled, "the function of pullback(x) and vjp(x, ·)", tolerance=CHAIN)
    linearised = operator.linearize(x)
    expect_close(linearised(v), operator.jvp(x, v), "linearize(x)(v) and jvp(x, v)", tolerance=CHAIN)
    expect_close(linearised.adjoint(w), pulled, "linearize(x).adjoint(w) and vjp(x, w)", tolerance=CHAIN)


@DERIVATIVES.each
def autograd(example: OperatorExample) -> None:
    """Backward is the adjoint of the derivative; forward mode and the second derivative are right as well."""
    operator, x, v, w = example.operator, example.x(1), example.x(2), example.y(3)
    cause = "a detach, an in-place operation, or composite = True without operators inside?"

    def close(found: Any, expected: Any, what: str, tolerance: float = CHAIN) -> None:
        expect_close(found, expected, what, cause, tolerance=tolerance)

    with torch.no_grad():
        pulled, along = operator.vjp(x, w), operator.jvp(x, v)
    close(gradient(lambda x: dot(operator(x), w), x), pulled, "the gradient of Re ⟨A(x), w⟩ and vjp(x, w)")
    close(torch.func.jvp(operator.__call__, (x,), (v,))[1], along, "forward-mode autograd and jvp(x, v)")
    if isinstance(operator, LinearOperator):
        through_adjoint = gradient(lambda y: dot(operator.adjoint(y), v), w)
        close(through_adjoint, operator(v), "the gradient of Re ⟨Aᴴy, v⟩ and A v")
        through_normal = gradient(lambda x: dot(operator.normal(x), v), x)
        close(through_normal, operator.normal(v), "the gradient of Re ⟨AᴴA x, v⟩ and AᴴA v")

    def energy(x: Any) -> Tensor:
        """‖A(x)‖⁴, whose second derivative does not vanish."""
        y = operator(x)
        return dot(y, y) ** 2

    def steepness(x: Any) -> Tensor:
        """The derivative of the energy along v, in a graph of its own."""
        found = torch.autograd.grad(energy(x), leaves(x), create_graph=True, materialize_grads=True)
        return dot(Blocks(zip(x, found, strict=True)) if isinstance(x, Blocks) else found[0], v)

    curvature = slope(lambda x: gradient(energy, x), x, v)
    close(gradient(steepness, x), curvature, "the second derivative of ‖A(x)‖⁴ and a finite difference", SLOPE)


@DERIVATIVES.each
@torch.no_grad()
def multilinear(example: OperatorExample) -> None:
    """A multilinear operator is linear in each unknown while the others are held, with the right adjoint."""
    operator, x, z, y = example.operator, example.x(1), example.x(2), example.y(3)
    if not (operator.multilinear and isinstance(operator.domain, ProductSpace)):
        raise NotOffered("the operator is not multilinear")
    for name in operator.domain:
        fixed = operator.fix(**{other: part for other, part in x.items() if other != name})
        scale = length(fixed(x[name])) + length(fixed(z[name]))
        together, apart = fixed(x[name] * 0.6 - z[name]), fixed(x[name]) * 0.6 - fixed(z[name])
        expect_close(together, apart, f"A(αx + βz) and αA x + βA z in {name!r}", scale=scale)
        forth, back = dot(fixed(z[name]), y), dot(z[name], fixed.adjoint(y))
        expect_same_number(forth, back, f"⟨Ax, y⟩ and ⟨x, Aᴴy⟩ in {name!r}", scale=scale * length(y), tolerance=CHAIN)


@DERIVATIVES.each
@torch.no_grad()
def ambiguity(example: OperatorExample) -> None:
    """A global phase or a sign that the operator says it does not see leaves the data as they are."""
    operator, x = example.operator, example.x(1)
    unknown = operator.ambiguity - {"phase", "sign", "shift", "flip", "scale"}
    if unknown:
        raise LawBroken(f"ambiguity names {', '.join(sorted(unknown))}: phase, sign, shift, flip and scale are known")
    factors = {"phase": 0.6 + 0.8j, "sign": -1.0}
    claimed = sorted(factors.keys() & operator.ambiguity)
    if not claimed:
        raise NotOffered("the operator sees the phase and the sign")
    for name in claimed:
        expect_close(operator(x * factors[name]), operator(x), f"A(x) and A of another {name}")
