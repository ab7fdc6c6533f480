"""The Gaussian likelihood, and the named adapters between capabilities of priors."""

import pytest
import torch
from support.dense import Matrix, generator

from preimage.errors import DataError
from preimage.likelihoods import Gaussian, data_space, has_barrier
from preimage.operators import LinearOperator
from preimage.priors import (
    conjugate_prox,
    denoiser_as_prox,
    denoiser_as_score,
    moreau,
    prox_by_iterations,
    real_lift,
    red_gradient,
)
from preimage.randomness import Draw
from preimage.space import Space

C = torch.complex128


class L1:
    """weight·Σ|x|."""

    def __init__(self, weight):
        self.weight = weight

    def value(self, x):
        return self.weight * x.abs().sum()

    def prox(self, x, step):
        return x * (1 - self.weight * step / x.abs().clamp_min(1e-300)).clamp_min(0)


class Quadratic:
    """weight/2·‖x‖², and as a denoiser the posterior mean of x ~ N(0, 1/weight)."""

    def __init__(self, weight):
        self.weight = weight

    def value(self, x):
        return self.weight / 2 * x.abs().square().sum()

    def prox(self, x, step):
        return x / (1 + step * self.weight)

    def denoise(self, x, sigma):
        return x / (1 + sigma**2 * self.weight)


def test_gaussian_gradient_and_prox_are_those_of_half_the_squared_distance():
    u, y = torch.randn(5, dtype=C, generator=generator(0)), torch.randn(5, dtype=C, generator=generator(1))
    likelihood = Gaussian()
    leaf = u.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(likelihood.value(leaf, y), leaf)
    torch.testing.assert_close(likelihood.grad(u, y), gradient)
    z = likelihood.prox(u, y, 0.7)
    torch.testing.assert_close(likelihood.grad(z, y) + (z - u) / 0.7, torch.zeros_like(z))


def test_gaussian_sample_has_the_stated_std_for_complex_data_too():
    n = 50_000  # relative standard error of E|n|² is at most √(2/n) = 0.6 %; five of them, and √2 is far outside
    u = torch.full((n,), 3 + 1j, dtype=C)
    drawn = Gaussian(0.2).sample(u, Draw(1, (0,), (n,)))
    energy = float((drawn - u).abs().square().mean())
    assert abs(energy / 0.04 - 1) < 0.032
    assert abs(energy / 0.02 - 1) > 0.032
    assert torch.equal(Gaussian().sample(u, Draw(1, (0,), (n,))), u)
    assert Gaussian(0.2).rescaled(0.5).std == 0.1


def test_moreau_identity():
    x = torch.randn(20, dtype=C, generator=generator(0))
    part = L1(0.8)
    projected = conjugate_prox(part, x, 0.3)  # the conjugate of weight·‖·‖₁ is the indicator of |x| ≤ weight
    expected = x * (0.8 / x.abs()).clamp_max(1)
    torch.testing.assert_close(projected, expected)
    torch.testing.assert_close(part.prox(x, 0.5) + 0.5 * conjugate_prox(part, x / 0.5, 1 / 0.5), x)


def test_moreau_envelope_of_the_modulus_is_hubers_function():
    x = torch.randn(50, dtype=C, generator=generator(0)).requires_grad_()
    envelope = moreau(L1(1.0), 0.4)
    size = x.detach().abs()
    huber = torch.where(size <= 0.4, size**2 / 0.8, size - 0.2).sum()
    torch.testing.assert_close(envelope.value(x.detach()), huber)
    (gradient,) = torch.autograd.grad(envelope.value(x), x)
    torch.testing.assert_close(envelope.grad(x.detach()), gradient)


def test_a_denoiser_serves_as_prox_score_and_gradient():
    prior = Quadratic(2.0)  # its denoiser is exact, so every adapter has a closed form
    x = torch.randn(6, dtype=C, generator=generator(0))
    torch.testing.assert_close(denoiser_as_prox(prior).prox(x, 0.3), prior.prox(x, 0.3))
    step = torch.full((1,), 0.3, dtype=torch.float64)
    torch.testing.assert_close(denoiser_as_prox(prior, 1.0).prox(x, step), prior.prox(x, 0.3))
    torch.testing.assert_close(denoiser_as_score(prior).score(x, 0.5), -x / (1 / 2.0 + 0.25))
    torch.testing.assert_close(red_gradient(prior, 0.5, 3.0).grad(x), 3.0 * (x - x / 1.5))


def test_real_lift_shares_the_noise_between_the_parts():
    x = torch.randn(6, dtype=C, generator=generator(0))
    var = 0.5  # of a complex x; each part has half of it, and half of the noise
    lifted = real_lift(Quadratic(2 / var))
    torch.testing.assert_close(lifted.denoise(x, 0.3), Quadratic(1 / var).denoise(x, 0.3))


class Differences(LinearOperator):
    """x[i+1] − x[i]."""

    def __init__(self, n, scale=1.0):
        super().__init__(Space(("n",), (n,), torch.float64), Space(("n",), (n - 1,), torch.float64))
        self.scale = scale

    def _apply(self, x):
        return self.scale * x.diff(dim=-1)

    def _apply_adjoint(self, y):
        padded = torch.nn.functional.pad(y, (1, 1))
        return -self.scale * padded.diff(dim=-1)


class TotalVariation:
    def __init__(self, n, weight, scale):
        self.parts = L1(weight / scale), Differences(n, scale)

    def split(self):
        return self.parts


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])  # a step that is only right at ‖K‖ ≈ 1 fails here
def test_prox_by_iterations_solves_total_variation_of_a_step(scale):
    n, weight, step = 10, 0.4, 0.5
    x = torch.cat([torch.zeros(4), torch.ones(6)]).double()
    found = prox_by_iterations(TotalVariation(n, weight, scale), 2000).prox(x, step)
    moved = weight * step  # two plateaus move towards each other by λ/n₁ and λ/n₂
    expected = torch.cat([torch.full((4,), moved / 4), torch.full((6,), 1 - moved / 6)]).double()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


class Differences2D(LinearOperator):
    """Both differences of a plane: its codomain has one dim more than its domain."""

    def __init__(self, n):
        super().__init__(Space(("z", "y"), (n, n), torch.float64), Space(("d", "z", "y"), (2, n, n), torch.float64))

    def _apply(self, x):
        zero = torch.zeros_like(x)
        dz, dy = zero.clone(), zero.clone()
        dz[..., :-1, :] = x.diff(dim=-2)
        dy[..., :, :-1] = x.diff(dim=-1)
        return torch.stack([dz, dy], -3)

    def _apply_adjoint(self, y):
        dz, dy = y[..., 0, :-1, :], y[..., 1, :, :-1]
        out = torch.zeros_like(y[..., 0, :, :])
        out[..., 1:, :] += dz
        out[..., :-1, :] -= dz
        out[..., :, 1:] += dy
        out[..., :, :-1] -= dy
        return out


@pytest.mark.parametrize("batch", [2, 3])  # as many as there are differences, and not
def test_prox_by_iterations_takes_a_step_for_each_element_of_a_batch(batch):
    class Plane:
        def split(self):
            return L1(0.3), Differences2D(5)

    x = torch.randn(batch, 5, 5, dtype=torch.float64, generator=generator(0))
    steps = torch.linspace(0.2, 1.0, batch, dtype=torch.float64)
    prox = prox_by_iterations(Plane(), 300)
    together = prox.prox(x, steps.reshape(-1, 1, 1))
    for i in range(batch):
        torch.testing.assert_close(together[i], prox.prox(x[i], float(steps[i])), rtol=1e-10, atol=1e-10)


def test_prox_by_iterations_stops_at_its_tolerance():
    calls = []

    class Counting(TotalVariation):
        def split(self):
            outer, linear = super().split()
            calls.append(linear)
            return outer, linear

    x = torch.randn(10, dtype=torch.float64, generator=generator(0))
    exact = prox_by_iterations(Counting(10, 0.4, 1.0), 5000).prox(x, 0.5)
    loose = prox_by_iterations(Counting(10, 0.4, 1.0), 5000, tolerance=1e-4).prox(x, 0.5)
    assert 0 < (exact - loose).norm() < 1e-2 * exact.norm()
    assert prox_by_iterations(Counting(10, 0.4, 1.0), 10).value(x) == pytest.approx(float(0.4 * x.diff().abs().sum()))


def test_adapters_move_with_their_parts():
    moved = prox_by_iterations(TotalVariation(4, 1.0, 1.0), 3).to("meta")
    assert moved.n_iterations == 3
    assert Matrix(torch.eye(2)).to("meta").matrix.device.type == "meta"


class Counted(Gaussian):
    """A likelihood of real numbers, which is infinite for some."""

    real_valued = True
    barrier = True


def test_a_likelihood_of_real_numbers_refuses_a_complex_codomain_as_declared_and_as_made():
    space = Space(("m",), (5,), C)
    for likelihood in (Counted, Counted()):
        with pytest.raises(DataError, match=r"likelihood Counted is of real numbers, and A\(x\) is complex: take"):
            data_space(likelihood, space)
        assert data_space(likelihood, space.real) == space.real
    assert data_space(Counted | Gaussian, space) == space  # which it will be is not known yet


def test_a_likelihood_without_a_barrier_need_not_say_so():
    assert has_barrier(Counted())
    assert not has_barrier(Gaussian())
