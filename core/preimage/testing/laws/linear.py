"""Laws of linear operators: linearity, the adjoint, the normal operation, the norm."""

from __future__ import annotations

import math
from typing import Any

import torch

from preimage.space import Space
from preimage.testing.comparing import DOUBLE, EXACT, EXACT_SINGLE, SINGLE, all_complex, dot, expect_close, length, show
from preimage.testing.examples import OperatorExample, drawn
from preimage.testing.law import LawBroken, Laws

LINEAR = Laws()

NORM = 1e-9
"""Of a norm against the dense SVD: closed forms are exact to rounding, and so is the SVD's largest value."""


@LINEAR.each
@torch.no_grad()
def linearity(example: OperatorExample) -> None:
    """A(αx + βz) = αA x + βA z, for complex α and β exactly where the operator says that it is complex-linear."""
    operator, x, z = example.linear, example.x(1), example.x(2)
    scale = example.norm * (length(x) + length(z))
    together, apart = operator(x * 0.6 - z), operator(x) * 0.6 - operator(z)
    expect_close(together, apart, "A(αx + βz) and αA x + βA z for real α and β", "an offset?", scale=scale)
    if not all_complex(operator.domain):
        return
    turned = operator(x * 1j)
    if not all_complex(operator.codomain):
        if operator.complex_linear:
            raise LawBroken("complex_linear is True, but A maps complex numbers to real ones: set it to False")
        return
    expected = operator(x) * 1j
    if operator.complex_linear:
        cause = "a conjugate, a real or an imaginary part inside? Then complex_linear = False"
        expect_close(turned, expected, "A(ix) and i·A x", cause, scale=example.norm * length(x))
    elif length(turned - expected) <= EXACT * example.norm * length(x):
        raise LawBroken("complex_linear is False, but A(ix) = i·A x to rounding: leave it True")


@LINEAR.each
@torch.no_grad()
def adjoint(example: OperatorExample) -> None:
    """⟨A x, y⟩ = ⟨x, Aᴴy⟩, to the rounding of each precision."""
    for dtype, tolerance in ((DOUBLE, EXACT), (SINGLE, EXACT_SINGLE)):
        operator: Any = example.linear if dtype == DOUBLE else example.at(dtype)
        pairs = []
        for seed in (1, 3):
            x = drawn(operator.domain, seed, device=operator.device)
            y = drawn(operator.codomain, seed + 1, device=operator.device)
            forth, back = _inner(operator, operator(x), y), _inner(operator, x, operator.adjoint(y), in_domain=True)
            pairs.append((forth, back, max(example.norm * length(x) * length(y), abs(forth))))
        if all(abs(forth - back) <= tolerance * scale for forth, back, scale in pairs):
            continue
        forth, back, scale = pairs[0]
        error = abs(forth - back) / scale if scale else math.inf
        raise LawBroken(
            f"⟨Ax, y⟩ = {show(forth)} and ⟨x, Aᴴy⟩ = {show(back)} differ {_factor(pairs)} "
            f"(relative to ‖A‖‖x‖‖y‖ {error:.1e}, allowed {tolerance:.0e} in {dtype})"
        )


@LINEAR.each
def normal(example: OperatorExample) -> None:
    """The normal operation is Aᴴ after A, with gradients on and off."""
    operator, x = example.linear, example.x(1)
    for recording in (False, True):
        with torch.set_grad_enabled(recording):
            found, expected = operator.normal(x), operator.adjoint(operator(x))
        expect_close(
            found,
            expected,
            f"normal(x) and adjoint(A(x)) with gradients {'on' if recording else 'off'}",
            "another scale, mask or shift in _apply_normal?",
            scale=example.norm**2 * length(x),
        )


@LINEAR.each
def add_normal(example: OperatorExample) -> None:
    """add_normal(y, x, α) = y + α·AᴴA x, with gradients on and off, for numbers and tensors α, and where y is x."""
    operator, x, y = example.linear, example.x(1), example.x(2)
    expected = {alpha: y + operator.normal(x) * alpha for alpha in (1.0, -0.3)}
    for recording in (False, True):
        with torch.set_grad_enabled(recording):
            for alpha, wanted in expected.items():
                for factor in (alpha, torch.tensor(alpha, dtype=torch.float64, device=operator.device)):
                    found = operator.add_normal(y.clone(), x, factor)
                    _expect_added(example, found, wanted, f"add_normal(y, x, {factor})", y, x)
            itself = x.clone()
            found = operator.add_normal(itself, itself, -0.3)
            _expect_added(example, found, x + operator.normal(x) * -0.3, "add_normal(x, x, -0.3)", x, x)


def _expect_added(example: OperatorExample, found: Any, expected: Any, what: str, y: Any, x: Any) -> None:
    scale = length(y) + example.norm**2 * length(x)
    cause = "are pieces of x read after they were written over?"
    expect_close(found, expected, f"{what} and the sum", cause, scale=scale)


@LINEAR.each
def norm(example: OperatorExample) -> None:
    """‖A‖ against a dense SVD: exact, an upper bound, or an estimate that is safe to rely on, as it says."""
    claimed = example.linear.norm()
    true = float(torch.linalg.matrix_norm(example.matrix, 2))
    problem = {
        "exact": abs(claimed.value - true) > NORM * true and "it says that it is exact",
        "upper": claimed.value < true * (1 - NORM) and "it says that it is an upper bound",
        "estimate": claimed.safe < true * (1 - NORM) and "even raised by its margin it is too small",
    }[claimed.kind]
    if not problem:
        problem = claimed.kind == "estimate" and claimed.value > true * (1 + NORM) and "an estimate comes from below"
    if problem:
        ratio = f"by the factor {claimed.value / true:.4g}" if true else "from zero"
        raise LawBroken(f"norm() is {claimed.value:.6g}, the largest singular value {true:.6g}, off {ratio}: {problem}")


def _inner(operator: Any, u: Any, v: Any, *, in_domain: bool = False) -> complex:
    """⟨u, v⟩; its real part for an operator that is linear over the reals only, or that joins real and complex."""
    spaces = operator.domain, operator.codomain
    one_field = all(isinstance(space, Space) for space in spaces) and len({space.is_complex for space in spaces}) == 1
    if operator.complex_linear and one_field:
        return complex(spaces[0 if in_domain else 1].inner(u, v).sum())
    return complex(dot(u, v))


def _factor(pairs: list[tuple[complex, complex, float]]) -> str:
    """A scale that is missing is the same for every pair; a conjugate, a mask or a shift is not."""
    factors = [forth / back for forth, back, _ in pairs if back]
    if len(factors) == len(pairs) and abs(factors[0] - factors[1]) <= 1e-4 * abs(factors[0]):
        return f"by the factor {show(factors[0])}: a missing scale in _apply_adjoint?"
    return "by no common factor: a missing conjugate, another mask or shift in _apply_adjoint?"
