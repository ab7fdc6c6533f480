from __future__ import annotations

import cmath

import pytest
import torch

from preimage_variational import pieces
from preimage_variational.priors.l1 import L1Norm


def _coefficients(dtype, *shape):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def test_magnitudes_shrink_and_phases_stay():
    w = torch.tensor([3 + 4j, 0.3j, 0, -2], dtype=torch.complex128)
    assert L1Norm(2.0).value(w) == pytest.approx(2 * 7.3)
    expected = torch.tensor([2.4 + 3.2j, 0, 0, -1], dtype=torch.complex128)
    torch.testing.assert_close(L1Norm(2.0).prox(w, 0.5), expected, rtol=1e-15, atol=0)


def test_a_phase_goes_through():
    w, turn = _coefficients(torch.complex128, 50), cmath.exp(0.7j)
    torch.testing.assert_close(L1Norm(0.5).prox(w * turn, 1.0), L1Norm(0.5).prox(w, 1.0) * turn, rtol=1e-13, atol=1e-15)


# |w|/threshold from 1/3 to 30, and both as small and as large as single precision has them.
@pytest.mark.parametrize("unit", [1e-36, 1e-20, 1.0, 1e20, 1e36])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_units_do_not_matter(unit, dtype):
    w = torch.logspace(-0.5, 1.5, 20).to(dtype)
    found = L1Norm(unit).prox(w * unit, 1.0).real.double() / unit
    torch.testing.assert_close(found, (w.real.double() - 1).clamp_min(0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("step", [0.0, torch.zeros(1, 1)])
def test_a_threshold_of_zero_changes_nothing(step):
    w = torch.tensor([[0, 1e-30, 1 + 1j, 1e30]], dtype=torch.complex64)
    assert torch.equal(L1Norm(1.0).prox(w, step), w)


def test_spared_coefficients_do_not_count():
    norm, w = L1Norm(0.5, (slice(None, None, 2), slice(0, 2))), _coefficients(torch.float64, 3, 5, 4)
    found = norm.prox(w, 1.0)
    assert torch.equal(found[:, ::2, :2], w[:, ::2, :2])
    others = torch.ones(5, 4, dtype=torch.bool)
    others[::2, :2] = False
    assert torch.equal(found[:, others], L1Norm(0.5).prox(w, 1.0)[:, others])
    torch.testing.assert_close(norm.value(w), 0.5 * w[:, others].abs().sum())


def test_elements_of_a_batch_have_their_own_steps(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE", 64)
    w, steps = _coefficients(torch.complex128, 3, 4, 5), torch.tensor([0.1, 1.0, 0.0], dtype=torch.float64)
    together = L1Norm(0.7).prox(w, steps.reshape(3, 1, 1))
    for element, step, found in zip(w, steps, together, strict=True):
        torch.testing.assert_close(found, L1Norm(0.7).prox(element, float(step)), rtol=1e-14, atol=0)


@pytest.mark.parametrize("spared", [None, (slice(0, 2),)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_with_gradients_it_is_the_same_and_they_are_finite_at_zero(spared, dtype):
    norm, w = L1Norm(0.5, spared), _coefficients(dtype, 12)
    w[5] = 0
    with torch.no_grad():
        expected = norm.prox(w, 1.0)
    w.requires_grad_()
    found = norm.prox(w, 1.0)
    assert torch.equal(found, expected)
    assert torch.autograd.gradcheck(lambda w: norm.prox(w, 1.0), (w,))
