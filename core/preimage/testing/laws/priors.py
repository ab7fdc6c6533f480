"""Laws of priors: value, gradient, proximal map, and the same in blocks."""

from __future__ import annotations

import cmath
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
import xarray as xr

from preimage.declarations import Axis, split
from preimage.offers import offers
from preimage.operators import LinearOperator
from preimage.priors import (
    Composite,
    Denoiser,
    Differentiable,
    Generative,
    LipschitzGradient,
    LogDensity,
    Proximable,
    Valued,
)
from preimage.space import AnySpace, ProductSpace, Space
from preimage.testing.comparing import all_complex, dot, expect_close, expect_same_number, length, slope
from preimage.testing.datasets import cuttings
from preimage.testing.examples import Call, OperatorExample, PriorExample, prior_calls
from preimage.testing.law import LawBroken, Laws, NotOffered
from preimage.testing.laws import linear
from preimage.testing.laws.making import section
from preimage.testing.laws.minimum import expect_prox
from preimage.testing.laws.planning import expect_planned

PRIORS = Laws()

STEPS = (0.05, 1.0, 6.0)
"""Short and long against the size of the examples, which is about 1."""
CLOSED = 1e-10
"""Of two closed forms: rounding, and its growth in a formula that cancels."""
CAPABILITIES = (Valued, Differentiable, Proximable, Composite, Denoiser, Generative, LogDensity)


@PRIORS.each
def capability(example: PriorExample) -> None:
    """The prior offers something that a solver may ask for."""
    if all(offers(example.prior, one) is None for one in CAPABILITIES):
        names = ", ".join(one.__name__ for one in CAPABILITIES)
        raise LawBroken(f"a {type(example.prior).__name__} offers nothing: priors are any of {names}")


@PRIORS.each
@torch.no_grad()
def gradient(example: PriorExample) -> None:
    """grad is the slope of value, for complex x ∂/∂Re + i ∂/∂Im."""
    valued, differentiable = example.offered(Valued), example.offered(Differentiable)
    x, v = example.x(1), example.x(2)
    found, expected = dot(differentiable.grad(x), v), slope(valued.value, x, v)
    scale = length(differentiable.grad(x)) * length(v) + abs(float(expected))
    cause = "half of it is the Wirtinger gradient ∂/∂x̄"
    expect_same_number(found, expected, "Re ⟨grad(x), v⟩ and the slope of value along v", cause, scale=scale)


@PRIORS.each
@torch.no_grad()
def lipschitz(example: PriorExample) -> None:
    """No two gradients differ by more than lipschitz() times what their points do."""
    bound, differentiable = example.offered(LipschitzGradient).lipschitz(), example.offered(Differentiable)
    x, v = example.x(1), example.x(2)
    for distance in (1e-3, 1.0, 1e3):
        found = length(differentiable.grad(x + v * distance) - differentiable.grad(x))
        allowed = bound * distance * length(v)
        if found > allowed * (1 + CLOSED) + CLOSED * length(differentiable.grad(x)):
            raise LawBroken(
                f"the gradients of two points differ by {found / allowed:.3g} times what lipschitz() = {bound:.3g} "
                "allows: steps of 1/L would diverge"
            )


@PRIORS.each
@torch.no_grad()
def prox(example: PriorExample) -> None:
    """prox(x, step) minimises value(z) + ‖z − x‖²/(2·step), and where value has a gradient it vanishes there."""
    valued, proximable = example.offered(Valued), example.offered(Proximable)
    for step in STEPS:
        for x in (example.x(1), example.x(2) * 5):
            z = proximable.prox(x, step)
            expect_prox(valued.value, z, x, step, f"prox(x, {step})")
            if isinstance(example.prior, Differentiable):
                stationary = z + example.prior.grad(z) * step
                expect_close(stationary, x, f"z + {step}·grad(z) at z = prox(x, {step}) and x", tolerance=CLOSED)


@PRIORS.each
@torch.no_grad()
def prox_steps(example: PriorExample) -> None:
    """A step for each element of a batch gives what the elements give alone with their steps."""
    proximable, batch = example.offered(Proximable), example.x(1, (2,))
    if isinstance(example.space, ProductSpace):
        raise NotOffered("steps of product spaces are numbers")
    steps = torch.tensor([0.1, 2.0], dtype=torch.float64)
    together = proximable.prox(batch, steps.reshape(2, *[1] * example.space.ndim))
    alone = torch.stack([proximable.prox(x, float(step)) for x, step in zip(batch, steps, strict=True)])
    expect_close(together, alone, "prox with steps (*batch, 1, …, 1) and one by one", tolerance=CLOSED)


@PRIORS.each
@torch.no_grad()
def prox_in_place(example: PriorExample) -> None:
    """prox_(x, step), of a prior that has it, is prox(x, step) written over x."""
    proximable = example.offered(Proximable)
    in_place = getattr(proximable, "prox_", None)
    if in_place is None:
        raise NotOffered("the prior has no prox_")
    for step in STEPS:
        x = example.x(1)
        expected, found = proximable.prox(x, step), in_place(x, step)
        expect_close(found, expected, f"prox_(x, {step}) and prox(x, {step})", tolerance=CLOSED)
        expect_close(x, found, f"x after prox_(x, {step}) and what it returned", tolerance=CLOSED)


@PRIORS.each
@torch.no_grad()
def firmly_nonexpansive(example: PriorExample) -> None:
    """‖Px − Pz‖² ≤ Re ⟨Px − Pz, x − z⟩ for the prox P of a convex prior."""
    proximable, x = _convex(example), example.x(1)
    for step in STEPS:
        for z in (example.x(2), x * 3, x * -1, x + example.x(3) * 1e-3):
            moved = proximable.prox(x, step) - proximable.prox(z, step)
            squared, inner = length(moved) ** 2, float(dot(moved, x - z))
            if squared > inner + CLOSED * length(x - z) ** 2:
                raise LawBroken(
                    f"the prox for the step {step} is not firmly non-expansive: ‖Px − Pz‖² = {squared:.6g} is "
                    f"{squared / inner if inner else float('inf'):.4g} times Re ⟨Px − Pz, x − z⟩. A prior that is not "
                    "convex says convex = False"
                )


@PRIORS.each
@torch.no_grad()
def projection(example: PriorExample) -> None:
    """The prox of a constraint, a prior that says constraint = True, is the projection onto a convex set.

    Such a prior needs no value, which would be 0 inside and ∞ outside.
    """
    proximable, x = example.offered(Proximable), example.x(1)
    if not example.claims("constraint", default=False):
        raise NotOffered("the prior does not say constraint = True")
    nearest = proximable.prox(x, 1.0)
    for step in STEPS:
        found = proximable.prox(x, step)
        expect_close(found, nearest, f"prox(x, {step}) and prox(x, 1)", "a projection has no step", tolerance=CLOSED)
    expect_close(proximable.prox(nearest, 1.0), nearest, "the prox of a prox and the prox", tolerance=CLOSED)
    for other in (x * -1, x * 3, example.x(2), example.x(3) * 10):
        inside = proximable.prox(other, 1.0)
        inner = float(dot(x - nearest, inside - nearest))
        if inner > CLOSED * length(x - nearest) * length(inside - nearest):
            raise LawBroken(
                f"prox(x) is not what is nearest to x: with Re ⟨x − prox(x), z − prox(x)⟩ = {inner:.6g} > 0, points "
                "towards z = prox(x') are nearer"
            )


@PRIORS.each
@torch.no_grad()
def moreau(example: PriorExample) -> None:
    """(x − prox(x, t))/t is the gradient of the Moreau envelope, and a subgradient of a convex prior at the prox."""
    proximable, valued, x, v = _convex(example), example.offered(Valued), example.x(1), example.x(2)

    def envelope(step: float, x: Any) -> torch.Tensor:
        z = proximable.prox(x, step)
        value: torch.Tensor = valued.value(z)
        return value + dot(x - z, x - z) / (2 * step)

    for step in STEPS:
        z = proximable.prox(x, step)
        dual = (x - z) * (1 / step)
        found, expected = dot(dual, v), slope(partial(envelope, step), x, v)
        message = f"Re ⟨(x − prox(x, {step}))/{step}, v⟩ and the slope of the Moreau envelope along v"
        scale = length(dual) * length(v) + abs(float(expected))
        expect_same_number(found, expected, message, scale=scale)
        start = float(valued.value(z))
        for other in (v, x, x * 0, z * -2, v * 100):
            bound, value = start + float(dot(dual, other - z)), float(valued.value(other))
            if value < bound - CLOSED * (abs(bound) + abs(start)):
                raise LawBroken(
                    f"(x − prox(x, {step}))/{step} is no subgradient at the prox: value is {value:.6g} where "
                    f"it should be at least {bound:.6g}, so that x = prox_R(x) + prox_R*(x) does not hold"
                )


@PRIORS.each
@torch.no_grad()
def phase(example: PriorExample) -> None:
    """A global phase of complex x goes through: prox(e^{iφ}x) = e^{iφ}prox(x), and value does not see it."""
    if not all_complex(example.space):
        raise NotOffered("the domain is not complex")
    if not example.claims("phase_equivariant", default=True):
        raise NotOffered("the prior says phase_equivariant = False")
    x, turn = example.x(1), cmath.exp(0.7j)
    cause = (
        "threshold the magnitude, not real and imaginary parts apart. A prior that knows a phase says "
        "phase_equivariant = False"
    )
    here, there = (list(on_domain(example.prior, example.space, point)) for point in (x, x * turn))
    if not here:
        raise NotOffered("no call of the prior is of an image")
    for call, turned in zip(here, there, strict=True):
        expected = call() if call.space is None else call() * turn
        expect_close(turned(), expected, f"{call.name} of e^{{iφ}}x and of x, turned", cause, tolerance=CLOSED)


@PRIORS.each
@torch.no_grad()
def composite(example: PriorExample) -> None:
    """split() gives g and K with R(x) = g(K x), a true adjoint and norm of K, and a true prox of g."""
    outer, inner = example.offered(Composite).split()
    if not isinstance(inner, LinearOperator) or inner.domain != example.space:
        raise LawBroken(f"split() gives K = {type(inner).__name__}: a LinearOperator on {example.space} is wanted")
    x = example.x(1)
    if isinstance(example.prior, Valued) and isinstance(outer, Valued):
        expect_close(outer.value(inner(x)), example.prior.value(x), "g(K x) and value(x)", tolerance=CLOSED)
    part = OperatorExample(inner)
    for law in (linear.linearity, linear.adjoint, linear.normal, linear.norm):
        try:
            law(part)
        except LawBroken as broken:
            raise LawBroken(f"K of split(): {broken}") from None
        except NotOffered:
            continue
    if not isinstance(outer, Proximable):
        raise LawBroken(f"split() gives g = {type(outer).__name__}, which has no prox")
    if isinstance(outer, Valued):
        u = inner(x)
        expect_prox(outer.value, outer.prox(u, 0.3), u, 0.3, "the prox(u, 0.3) of g of split()")


@PRIORS.each
@torch.no_grad()
def axes(example: PriorExample) -> None:
    """Along dims declared split or halo, the priors of blocks give the blocks of what the whole one gives."""
    method = example.by_method
    context = {"settings": example.settings, "dataset": xr.Dataset(), "domain": example.space}
    expect_planned(method, **context)
    declared: Mapping[str, Axis] = method.ask("preimage_axes", **context) or {}
    strange = sorted(set(declared) - set(example.space.sizes))
    if strange:
        raise LawBroken(f"axes are declared for {', '.join(strange)}, which the domain does not have")
    x, shared = example.x(1), dict[str, Any]()
    wholes = [(call, call()) for call in on_domain(example.on(example.space, shared), example.space, x)]
    for cuts in cuttings(declared, example.space.sizes):
        values = {call.name: torch.zeros((), dtype=torch.float64) for call, _ in wholes if call.space is None}
        for cut in cuts:
            space = shortened(example.space, cut.dim, cut.read.stop - cut.read.start)
            part = section(example.space, x, cut.dim, cut.read)
            calls = on_domain(example.on(space, shared), space, part)
            for call, (_, whole) in zip(calls, wholes, strict=True):
                if call.space is None:
                    values[call.name] += call()
                    continue
                found = section(space, call(), cut.dim, cut.inner)
                expected = section(example.space, whole, cut.dim, cut.block)
                message = f"{call.name} of {cut} and that block of the whole's"
                expect_close(found, expected, message, f"is {cut.dim!r} really {cut.axis}?", scale=length(whole))
        for call, whole in wholes if cuts[0].axis == split else ():
            if call.space is None:
                expect_close(
                    values[call.name], whole, f"{call.name} summed over blocks along {cuts[0].dim!r} and whole"
                )


def on_domain(prior: Any, space: AnySpace, x: Any) -> Iterator[Call]:
    """Yield the calls that map the domain to itself or to a number of the whole."""
    for call in prior_calls(prior, space, x):
        if call.name not in {"generate(z)", "log_prob(x)"}:
            yield call


def shortened(space: AnySpace, dim: str, n: int) -> Any:
    """A space with another length of one dim."""
    if isinstance(space, Space):
        return Space(space.dims, tuple(n if d == dim else k for d, k in space.sizes.items()), space.dtype)
    return ProductSpace(**{name: shortened(part, dim, n) for name, part in space.items()})


def _convex(example: PriorExample) -> Any:
    if not example.claims("convex", default=True):
        raise NotOffered("the prior says convex = False")
    return example.offered(Proximable)
