from __future__ import annotations

import cmath

import pytest
import torch

from preimage_variational import pieces
from preimage_variational.priors.group_norm import GroupNorm


def _groups(dtype, *shape, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def test_groups_shorten_and_keep_their_direction():
    w = torch.tensor([[3.0, 0.3, 0], [4.0j, 0.4, 0]], dtype=torch.complex128)
    norm = GroupNorm(2.0, -2)
    assert float(norm.value(w)) == pytest.approx(2 * 5.5)
    expected = torch.tensor([[2.4, 0, 0], [3.2j, 0, 0]], dtype=torch.complex128)
    torch.testing.assert_close(norm.prox(w, 0.5), expected, rtol=1e-15, atol=0)
    inside = torch.tensor([[1.2, 0.3, 0], [1.6j, 0.4, 0]], dtype=torch.complex128)
    torch.testing.assert_close(norm.conjugate_prox(w, 123.0), inside, rtol=1e-15, atol=0)


@pytest.mark.parametrize("axis", [None, -1, -2, -3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_projection_is_what_the_prox_leaves(axis, dtype):
    norm, w = GroupNorm(0.7, axis), _groups(dtype, 3, 4, 5)
    torch.testing.assert_close(norm.prox(w, 1.0) + norm.conjugate_prox(w, 1.0), w, rtol=0, atol=1e-15)


def test_without_an_axis_every_number_is_a_group():
    w = _groups(torch.complex128, 3, 5)
    grouped = GroupNorm(0.5, -3).prox(w[None], 1.0)[0]
    torch.testing.assert_close(GroupNorm(0.5).prox(w, 1.0), grouped, rtol=0, atol=1e-15)


def test_a_phase_goes_through():
    w, turn = _groups(torch.complex128, 3, 50), cmath.exp(0.7j)
    norm = GroupNorm(1.0, -2)
    torch.testing.assert_close(norm.prox(w * turn, 1.0), norm.prox(w, 1.0) * turn, rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(norm.value(w * turn), norm.value(w), rtol=1e-14, atol=0)


# |w|/threshold from 1/3 to 30, in the units in which squares neither over- nor underflow.
@pytest.mark.parametrize("unit", [1e-17, 1.0, 1e17])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_units_do_not_matter(unit, dtype):
    w = torch.logspace(-0.5, 1.5, 20).to(dtype)
    found = GroupNorm(unit).prox(w * unit, 1.0).real.double() / unit
    torch.testing.assert_close(found, (w.real.double() - 1).clamp_min(0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("step", [0.0, torch.zeros(1, 1, 1)])
def test_a_threshold_of_zero_is_the_root_of_the_smallest_number(step):
    w = torch.tensor([[[0, 1e-15, 1e-7, 1 + 1j, 1e15]]], dtype=torch.complex64)
    moved = (GroupNorm(1.0, -2).prox(w, step) - w).abs()
    assert float(moved.max()) < 2 * torch.finfo(torch.float32).tiny ** 0.5
    assert float(GroupNorm(1.0, -2).project(w, step).abs().max()) < 2 * torch.finfo(torch.float32).tiny ** 0.5


def test_elements_of_a_batch_have_their_own_steps(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE", 64)
    w, steps = _groups(torch.complex128, 3, 2, 4, 5), torch.tensor([0.1, 1.0, 0.0], dtype=torch.float64)
    norm = GroupNorm(0.7, -3)
    for method in (norm.prox, norm.project):
        together = method(w, steps.reshape(3, 1, 1, 1))
        for element, step, found in zip(w, steps, together, strict=True):
            torch.testing.assert_close(found, method(element, float(step)), rtol=1e-14, atol=1e-150)


@pytest.mark.parametrize("axis", [None, -2])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_with_gradients_it_is_the_same_and_they_are_finite_at_zero(axis, dtype):
    norm, w = GroupNorm(0.5, axis), _groups(dtype, 2, 6)
    w[:, 3] = 0
    with torch.no_grad():
        expected = norm.prox(w, 1.0), norm.project(w, 0.8)
    w.requires_grad_()
    for found, wanted in zip((norm.prox(w, 1.0), norm.project(w, 0.8)), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-15)
    assert torch.autograd.gradcheck(lambda w: norm.prox(w, 1.0), (w,))
    assert torch.autograd.gradcheck(lambda w: norm.project(w, 0.8), (w,))
    (gradient,) = torch.autograd.grad(norm.value(w), w)
    assert bool(torch.isfinite(torch.view_as_real(gradient) if gradient.is_complex() else gradient).all())


def test_in_place_it_needs_no_other_memory():
    w = _groups(torch.complex128, 2, 6)
    where = w.data_ptr()
    assert GroupNorm(0.5, -2).prox_(w, 1.0).data_ptr() == where
    assert GroupNorm(0.5, -2).conjugate_prox_(w, 1.0).data_ptr() == where
