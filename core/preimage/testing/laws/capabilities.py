"""Laws of what an operator may offer beyond being applied."""

from __future__ import annotations

from typing import Any

import torch

from preimage.offers import offers
from preimage.operators import HasSVD, MaskedTransform, NormalSolvable, PseudoInvertible
from preimage.space import Space
from preimage.testing.comparing import DOUBLE, dot, expect_close, expect_same_number, generator, length, vector
from preimage.testing.examples import OperatorExample
from preimage.testing.law import LawBroken, Laws, NotOffered

CAPABILITIES = Laws()

SOLVED = 1e-11
"""Residual of a system relative to ‖matrix‖‖solution‖: a backward stable method leaves some ε for any condition."""


@CAPABILITIES.each
@torch.no_grad()
def solve_normal(example: OperatorExample) -> None:
    """(AᴴA + d·I) solve_normal(b, d) = b, for numbers d and for one d an element of a batch."""
    solvable, operator, b = _offered(example, NormalSolvable), example.linear, example.x(1)
    for damping in (1e-3, 1.0, 30.0):
        x = solvable.solve_normal(b, damping)
        scale = (example.norm**2 + damping) * length(x)
        expect_close(
            operator.normal(x) + x * damping,
            b,
            f"(AᴴA + {damping}·I) of the solution and the right-hand side",
            "a missing scale in AᴴA, or damping that is squared or left out?",
            tolerance=SOLVED,
            scale=scale,
        )
    if isinstance(operator.domain, Space):
        batch = example.x(2, (2,))
        dampings = torch.tensor([0.1, 2.0], dtype=DOUBLE, device=batch.device)
        together = solvable.solve_normal(batch, dampings.reshape(2, *[1] * operator.domain.ndim))
        alone = torch.stack([solvable.solve_normal(b, float(d)) for b, d in zip(batch, dampings, strict=True)])
        expect_close(together, alone, "solve_normal with damping (*batch, 1, …) and one by one", tolerance=SOLVED)


@CAPABILITIES.each
@torch.no_grad()
def pinv(example: OperatorExample) -> None:
    """A⁺ fulfils the four identities of Moore and Penrose."""
    pinv, operator = _offered(example, PseudoInvertible).pinv, example.linear
    x, z, y, w = example.x(1), example.x(2), example.y(3), example.y(4)
    condition = max(1.0, example.norm * length(pinv(operator(x))) / max(length(operator(x)), 1e-300))
    tolerance = 1e-11 * condition
    expect_close(operator(pinv(operator(x))), operator(x), "A A⁺A x and A x", "a scale?", tolerance=tolerance)
    expect_close(pinv(operator(pinv(y))), pinv(y), "A⁺A A⁺y and A⁺y", "a part outside the range?", tolerance=tolerance)
    expect_same_number(
        dot(operator(pinv(y)), w),
        dot(y, operator(pinv(w))),
        "⟨AA⁺y, w⟩ and ⟨y, AA⁺w⟩",
        "AA⁺ is no projection",
        scale=length(y) * length(w),
        tolerance=tolerance,
    )
    expect_same_number(
        dot(pinv(operator(x)), z),
        dot(x, pinv(operator(z))),
        "⟨A⁺Ax, z⟩ and ⟨x, A⁺Az⟩",
        "is A⁺y not of minimum norm?",
        scale=length(x) * length(z),
        tolerance=tolerance,
    )


@CAPABILITIES.each
@torch.no_grad()
def svd(example: OperatorExample) -> None:
    """A = U diag(s) Vᴴ with s ≥ 0, V unitary on the whole domain, and U an isometry where s > 0."""
    svd, operator = _offered(example, HasSVD).svd(), example.linear
    x, y = example.x(1), example.y(2)
    spectrum = svd.v.adjoint(x)
    if svd.s.is_complex() or not bool((svd.s >= 0).all()):
        raise LawBroken(
            f"s is {svd.s.dtype}, min {svd.s.real.min():.2g}: singular values are ≥ 0, a phase belongs to U"
        )
    other = svd.v.domain.randn(generator(3), device=operator.device)
    expect_close(svd.v(spectrum), x, "V Vᴴx and x", "V spans the whole domain, null space included", tolerance=SOLVED)
    expect_close(svd.v.adjoint(svd.v(other)), other, "VᴴV z and z", "V is not unitary", tolerance=SOLVED)
    scale = example.norm * length(x)
    weighted = spectrum * svd.s
    expect_close(
        svd.uh.adjoint(weighted),
        operator(x),
        "U s Vᴴx and A x",
        "the scale or the order of s?",
        tolerance=SOLVED,
        scale=scale,
    )
    expect_close(svd.uh(operator(x)), weighted, "UᴴA x and s Vᴴx", "U is no isometry?", tolerance=SOLVED, scale=scale)
    measured = svd.uh(y)
    where_zero = measured * (svd.s == 0)
    if length(where_zero) > SOLVED * length(y):
        raise LawBroken("Uᴴy is not 0 where s is 0")
    expect_close(svd.uh(svd.uh.adjoint(measured)), measured, "UᴴU z and z where s > 0", "no isometry", tolerance=SOLVED)


@CAPABILITIES.each
@torch.no_grad()
def masked_transform(example: OperatorExample) -> None:
    """A = P(Λ)T: T is invertible, and A x is T x where the mask is True, whether in its place or gathered."""
    masked, operator, x, z = _offered(example, MaskedTransform), example.linear, example.x(1), example.x(2)
    spectrum, mask = masked.transform(x), masked.sampling_mask()
    if mask.dtype != torch.bool:
        raise LawBroken(f"sampling_mask() is {mask.dtype}: True where measured is wanted")
    expect_close(masked.inverse_transform(spectrum), x, "T⁻¹T x and x", tolerance=SOLVED)
    if vector(spectrum).numel() == vector(x).numel():  # else only some spectra are of an image, as of a real one
        other = spectrum + spectrum.flip(-1)
        expect_close(masked.transform(masked.inverse_transform(other)), other, "T T⁻¹z and z", tolerance=SOLVED)
    y, scale = operator(x), example.norm * length(x)
    if y.shape == spectrum.shape:
        expect_close(y, spectrum * mask, "A x and Λ T x", "T without A's scale or centring?", scale=scale)
        return
    unseen = operator(masked.inverse_transform(spectrum * ~mask))
    if length(unseen) > SOLVED * scale:
        raise LawBroken(
            "A sees a spectrum that is 0 where sampling_mask() is True: a mask that is inverted or shifted?"
        )
    seen = masked.transform(z) * mask
    expect_same_number(
        dot(y, operator(z)),
        dot(spectrum * mask, seen),
        "⟨A x, A z⟩ and ⟨Λ T x, Λ T z⟩",
        "T without A's scale?",
        scale=length(y) * length(seen),
        tolerance=SOLVED,
    )


def _offered(example: OperatorExample, capability: Any) -> Any:
    found = offers(example.operator, capability)
    if found is None:
        raise NotOffered(f"the operator is no {capability.__name__}")
    return found
