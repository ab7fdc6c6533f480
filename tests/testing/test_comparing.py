"""What a person is told about two results that differ."""

from __future__ import annotations

import math

import pytest
import torch

from preimage.space import Blocks, ProductSpace, Space
from preimage.testing.comparing import (
    dot,
    expect_close,
    factor_off,
    from_vector,
    generator,
    gradient,
    length,
    size,
    slope,
    vector,
)
from preimage.testing.law import LawBroken

MIXED = ProductSpace(a=Space(("i",), (3,), torch.complex128), b=Space(("j", "k"), (2, 2), torch.float64))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (lambda x: 2 * x, "by the factor 2"),
        (lambda x: 2j * x, "by the factor 0+2j"),
        (lambda x: x.conj(), "by a complex conjugate"),
        (lambda x: x + 1, "by no common factor"),
        (lambda x: 0 * x, "(one of them is zero)"),
        (lambda x: x / 0, "(there are values that are not finite)"),
    ],
)
def test_the_factor_by_which_two_differ(found, says):
    x = torch.randn(5, dtype=torch.complex128, generator=generator())
    assert factor_off(found(x), x) == says


@pytest.mark.parametrize("value", [1.0, math.nan, math.inf])
def test_values_that_are_not_close_or_no_numbers_break_a_law(value):
    with pytest.raises(LawBroken, match="one and the other differ.*allowed 1e-12: why"):
        expect_close(torch.tensor([value]).double() + 1e-9, torch.ones(1).double(), "one and the other", "why")


@pytest.mark.parametrize("found", [[1.0, math.inf], [-math.inf, math.inf], [1.0, complex(math.inf, -math.inf)]])
def test_infinities_that_are_equal_do_not_differ(found):
    """Such as the value of a constraint outside its set."""
    found = torch.tensor(found)
    expect_close(found, found.clone(), "they")
    for other in (found.conj().clone() * -1, torch.where(found.abs() < math.inf, found, 7), found * math.nan):
        with pytest.raises(LawBroken, match="not finite"):
            expect_close(found, other, "they")


def test_beside_infinities_finite_values_are_compared_as_ever():
    with pytest.raises(LawBroken, match="relative error 9.9e-03"):
        expect_close(torch.tensor([math.inf, 1.0]), torch.tensor([math.inf, 1.01]), "they")


def test_shapes_that_would_broadcast_break_a_law():
    with pytest.raises(LawBroken, match=r"have the shapes \(3, 1\) and \(3,\)"):
        expect_close(torch.ones(3, 1), torch.ones(3), "they")


def test_an_element_and_its_real_vector_are_one():
    x = MIXED.randn(generator())
    assert size(MIXED) == len(vector(x)) == 10
    again = from_vector(MIXED, vector(x))
    assert all(torch.equal(again[name], x[name]) for name in MIXED)
    assert length(x) ** 2 == pytest.approx(float(MIXED.squared_norm(x)), rel=1e-14)


def test_gradient_and_slope_agree_with_a_closed_form():
    """The gradient of ‖x‖⁴ is 4‖x‖²x; a central difference is off by about h² = 1e-10."""
    x, v = MIXED.randn(generator(1)), MIXED.randn(generator(2))

    def energy(x: Blocks) -> torch.Tensor:
        return dot(x, x) ** 2

    expected = x * (4 * length(x) ** 2)
    expect_close(gradient(energy, x), expected, "autograd and the closed form")
    assert float(slope(energy, x, v)) == pytest.approx(float(dot(expected, v)), rel=1e-8)
