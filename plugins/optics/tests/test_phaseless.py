from __future__ import annotations

import numpy as np
import pytest
import torch

from preimage.errors import SpaceError
from preimage.operators import Identity, LinearOperator
from preimage.space import Space
from preimage.testing.agreement import largest_error
from preimage_optics import Diffraction, GaussianMap, Phaseless, spectral
from preimage_optics.maps.drawn import gaussian_matrix, octanary_modulation

OBJECT = Space(("y", "x"), (16, 15), torch.complex128)
POWERS = pytest.mark.parametrize("power", [1, 2])


def coded(domain: Space = OBJECT, n_patterns: int = 8) -> Diffraction:
    return Diffraction(domain, ("y", "x"), octanary_modulation((n_patterns, *domain.shape[-2:]), seed=0))


def randn(space: Space, seed: int = 0, batch: tuple[int, ...] = ()) -> torch.Tensor:
    return space.randn(torch.Generator().manual_seed(seed), batch)


def correlation(x: torch.Tensor, z: torch.Tensor) -> float:
    """|⟨x, z⟩| of unit vectors: 1 where they are equal up to a phase, some 1/√n where they are independent."""
    return float((x.conj() * z).sum().abs() / (x.norm() * z.norm()))


@POWERS
def test_the_derivative_is_that_of_the_papers(power, agreement):
    """Wirtinger flow and amplitude flow: ∂/∂x̄ of ½‖|Bx|^p − y‖², twice for ∂/∂Re + i ∂/∂Im."""
    operator, x = Phaseless(coded(), power), randn(OBJECT)
    w = randn(operator.codomain, 1)
    field = operator.linear(x)
    expected = operator.linear.adjoint(2 * w * field if power == 2 else w * field / field.abs())
    error = largest_error(operator.vjp(x, w), expected)
    reason = "rounding of FFTs of 240 values of about 1"
    agreement("operator.phase-retrieval", "the papers' derivative of |Bx|^p", error, 1e-13, reason)


@POWERS
def test_where_the_field_is_dark_the_derivative_is_zero_and_never_not_a_number(power):
    operator, v = Phaseless(coded(), power), randn(OBJECT, 1)
    dark, w = torch.zeros_like(v), randn(operator.codomain, 2)
    assert not operator.vjp(dark, w).any()
    assert not operator.jvp(dark, v).any()
    assert not operator.linearize(dark)(v).any()
    x = dark.clone().requires_grad_()
    (slope,) = torch.autograd.grad((w * operator(x)).sum(), x, create_graph=True)
    assert not slope.any()
    (curvature,) = torch.autograd.grad((slope.conj() * v).sum().real, x)
    assert bool(torch.isfinite(torch.view_as_real(curvature)).all())


def test_a_field_that_is_dark_in_some_places_only_has_a_derivative_in_the_others():
    operator = Phaseless(Identity(OBJECT), 1)
    x = randn(OBJECT)
    x[3:7] = 0
    slope = operator.vjp(x, torch.ones(OBJECT.shape, dtype=torch.float64))
    assert not slope[3:7].any()
    torch.testing.assert_close(slope[7:], x[7:] / x[7:].abs(), rtol=1e-14, atol=0)


def test_what_cannot_be_told_apart_is_said():
    real = Space(("y", "x"), (16, 15), torch.float64)
    assert Phaseless(coded()).ambiguity == {"phase"}
    assert Phaseless(coded(real)).ambiguity == {"sign"}
    assert Phaseless(coded(real), ambiguity=frozenset({"shift"})).ambiguity == {"sign", "shift"}


def test_magnitudes_of_real_data_are_refused():
    with pytest.raises(SpaceError, match="of one complex field"):
        Phaseless(Identity(Space(("x",), (3,), torch.float64)))


@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64])
@POWERS
def test_the_initial_estimate_is_near_the_truth_and_has_its_energy(power, dtype):
    space = Space(OBJECT.dims, OBJECT.shape, dtype)
    operator, truth = Phaseless(coded(space), power), randn(space)
    found = operator.initial(operator(truth), seed=3)
    # 240 pixels: independent vectors correlate by less than 5/√240 = 0.32.
    assert correlation(found, truth) > 0.8
    assert correlation(randn(space, 5), truth) < 0.32
    field, expected = operator.linear(found), operator.linear(truth)
    assert float(field.norm()) == pytest.approx(float(expected.norm()), rel=1e-13)


def test_it_is_the_leading_eigenvector(monkeypatch, dense, agreement):
    """Of B⁺ T(y) B, by a dense eigenvalue solver; of Bᴴ T(y) B where there is no pseudo-inverse at hand."""
    monkeypatch.setattr(spectral, "N_ITERATIONS", 3000)
    space = Space(("y", "x"), (4, 3), torch.complex128)
    truth = randn(space)
    for linear in (coded(space), GaussianMap(space, ("y", "x"), gaussian_matrix(100, 12, seed=0))):
        operator = Phaseless(linear, 2)
        y = operator(truth)
        matrix, weight = dense(linear, space), (y / (y + y.mean())).numpy().ravel()
        back = np.linalg.pinv(matrix) if isinstance(linear, Diffraction) else matrix.conj().T
        values, vectors = np.linalg.eig(back @ (weight[:, None] * matrix))
        leading = torch.from_numpy(vectors[:, np.argmax(values.real)]).reshape(4, 3)
        # Power iteration converges like (λ₂/λ₁)^k: 0.95 ^ 3000 is nothing.
        assert sorted(values.real)[-2] < 0.95 * max(values.real)
        error = abs(correlation(operator.initial(y), leading) - 1)
        reason = "of the correlation: a sum of twelve, rounded"
        agreement("operator.phase-retrieval", "NumPy's leading eigenvector, for the start", error, 1e-13, reason)


def test_both_powers_and_all_units_give_one_estimate():
    truth = randn(OBJECT)
    amplitudes, intensities = Phaseless(coded(), 1), Phaseless(coded(), 2)
    found = amplitudes.initial(amplitudes(truth))
    torch.testing.assert_close(intensities.initial(intensities(truth)), found, rtol=0, atol=1e-11)
    tiny = intensities.initial(1e-20 * intensities(truth))
    torch.testing.assert_close(1e10 * tiny, found, rtol=0, atol=1e-11)  # fifty iterations of rounding


def test_elements_of_a_batch_draw_their_own_start():
    operator = Phaseless(coded())
    y = operator(randn(OBJECT)).expand(2, -1, -1, -1)
    together = operator.initial(y, seed=1)
    torch.testing.assert_close(together[0], operator.initial(y[0], seed=1), rtol=0, atol=1e-12)
    overlap = (together[0].conj() * together[1]).sum()
    assert abs(float(overlap.angle())) > 1e-3  # the same object, with a phase that the start decides
    assert not torch.equal(together[0], operator.initial(y[0], seed=2))


def test_objects_along_a_dim_of_their_own_are_estimated_apart():
    """One that is ten thousand times as bright does not outshine the other."""
    space = Space(("y", "time", "x"), (16, 2, 15), torch.complex128)
    linear = Diffraction(space, ("y", "x"), octanary_modulation((8, 16, 15), seed=0))
    truth = randn(space) * torch.tensor([1.0, 100.0])[:, None]
    operator = Phaseless(linear)
    found = operator.initial(operator(truth))
    for t in range(2):
        assert correlation(found[:, t], truth[:, t]) > 0.8
        assert float(linear(found)[:, :, t].norm()) == pytest.approx(float(linear(truth)[:, :, t].norm()), rel=1e-13)


def test_no_light_and_noise_below_zero_are_no_trouble():
    operator = Phaseless(coded())
    assert not operator.initial(torch.zeros(operator.codomain.shape, dtype=torch.float64)).any()
    noisy = operator(randn(OBJECT)) - 0.5
    assert bool((noisy < 0).any())
    assert bool(torch.isfinite(torch.view_as_real(operator.initial(noisy))).all())


def test_dims_that_change_places_are_refused():
    class Transposed(LinearOperator):
        pass

    space = Space(("a", "b", "x"), (2, 3, 4), torch.complex128)
    operator = Phaseless(Transposed(space, Space(("b", "a", "k"), (3, 2, 4), torch.complex128)))
    with pytest.raises(SpaceError, match="in one order"):
        operator.initial(torch.ones(3, 2, 4, dtype=torch.float64))
