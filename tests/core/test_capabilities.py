"""Every capability has a consumer: a short method that needs it, checked against a dense matrix or a closed form."""

from dataclasses import replace

import pytest
import torch
from support.dense import Intensity, MaskedFourier, Matrix, Product, dense, generator

from preimage.likelihoods import Gaussian
from preimage.offers import declared_type, declares, offers
from preimage.operators import (
    HasSVD,
    Identity,
    LinearOperator,
    MaskedTransform,
    NormalSolvable,
    Operator,
    PseudoInvertible,
    block_diag,
)
from preimage.priors import Composite, Denoiser, Generative, LogDensity, Proximable
from preimage.problem import Problem
from preimage.solving import Needs, unmet
from preimage.solving.needs import Given
from preimage.space import Blocks, Space

C = torch.complex128


def matrix(m=4, n=6, seed=0):
    return Matrix(torch.randn(m, n, dtype=C, generator=generator(seed)))


WRAPPED = {"plain": lambda: matrix(), "scaled": lambda: (0.5 - 2j) * matrix()}


@pytest.mark.parametrize("name", WRAPPED)
def test_null_space_projection_by_pinv(name):
    operator = WRAPPED[name]()
    x = operator.domain.randn(generator(1))
    in_null = x - offers(operator, PseudoInvertible).pinv(operator(x))
    assert operator(in_null).norm() < 1e-12 * operator(x).norm()
    basis = torch.linalg.svd(dense(operator)).Vh[4:]  # rows span the null space's conjugate
    torch.testing.assert_close(basis.mH @ (basis @ x), in_null)


@pytest.mark.parametrize("name", WRAPPED)
def test_wiener_filter_by_solve_normal(name):
    operator = WRAPPED[name]()
    y = operator.codomain.randn(generator(1))
    filtered = offers(operator, NormalSolvable).solve_normal(operator.adjoint(y), 0.3)
    a = dense(operator)
    torch.testing.assert_close(filtered, torch.linalg.solve(a.mH @ a + 0.3 * torch.eye(6), a.mH @ y))


@pytest.mark.parametrize("name", WRAPPED)
def test_spectral_filter_by_svd(name):
    operator = WRAPPED[name]()
    y = operator.codomain.randn(generator(1))
    svd = offers(operator, HasSVD).svd()
    assert (svd.s >= 0).all()
    tikhonov = svd.v(svd.s / (svd.s**2 + 0.3) * svd.uh(y))
    a = dense(operator)
    torch.testing.assert_close(tikhonov, torch.linalg.solve(a.mH @ a + 0.3 * torch.eye(6), a.mH @ y))
    x = operator.domain.randn(generator(2))
    torch.testing.assert_close(svd.v(svd.v.adjoint(x)), x)  # unitary on the whole domain, null space and all


def test_data_consistency_by_a_masked_transform():
    mask = torch.rand(9, generator=generator(1)) < 0.5
    operator = MaskedFourier(mask)
    truth, guess = operator.domain.randn(generator(2)), operator.domain.randn(generator(3))
    part = offers(operator, MaskedTransform)
    spectrum = torch.where(part.sampling_mask(), operator(truth), part.transform(guess))
    consistent = part.inverse_transform(spectrum)
    torch.testing.assert_close(operator(consistent), operator(truth))
    expected = guess + operator.adjoint(operator(truth - guess))  # A has orthonormal rows: A⁺ = Aᴴ
    torch.testing.assert_close(consistent, expected)


def test_identity_offers_everything():
    operator = Identity(Space(("n",), (3,), C))
    x = operator.domain.randn(generator(0))
    assert all(offers(operator, c) for c in (NormalSolvable, PseudoInvertible, HasSVD, MaskedTransform))
    torch.testing.assert_close(operator.solve_normal(x, 1.0), x / 2)
    torch.testing.assert_close(operator.pinv(x), x)


def test_block_diagonal_derives_part_by_part():
    operator = block_diag(a=matrix(), b=matrix(3, 5, 1))
    x = operator.domain.randn(generator(1))
    again = offers(operator, PseudoInvertible).pinv(operator(x))
    torch.testing.assert_close(operator(again)["a"], operator(x)["a"])
    solved = offers(operator, NormalSolvable).solve_normal(x, 0.5)
    torch.testing.assert_close((operator.normal(solved) + 0.5 * solved)["b"], x["b"])


def test_nobody_claims_what_they_lack():
    sampled = MaskedFourier(torch.ones(5, dtype=torch.bool))
    for wrapped in (sampled, 2 * sampled, sampled.H, sampled + sampled, block_diag(a=sampled, b=matrix())):
        assert offers(wrapped, NormalSolvable) is None
    assert offers(0 * matrix(), PseudoInvertible) is None


class SoftThreshold:
    def prox(self, x, step):
        return x * (1 - step / x.abs().clamp_min(1e-30)).clamp_min(0)


def makes_matrix() -> Matrix: ...
def makes_either() -> MaskedFourier | Matrix: ...
def makes_anything(): ...


def test_declarations_are_return_annotations():
    assert declared_type(makes_matrix) is Matrix
    assert declares(declared_type(makes_either), HasSVD)  # if any member does
    assert not declares(MaskedFourier, HasSVD)
    assert declares(declared_type(makes_anything), HasSVD)  # nothing is declared: asked again of the part


def test_unmet_needs_are_named_on_declarations_and_on_parts():
    needs = Needs(
        operator=(LinearOperator, HasSVD), prior=(Proximable | Composite,), priors=range(1, 2), likelihood=(Gaussian,)
    )
    assert unmet(needs, Matrix, [SoftThreshold], Gaussian) == []
    assert unmet(needs, matrix(), [SoftThreshold()], Gaussian()) == []
    lacks = unmet(needs, Intensity, [Identity], Operator)
    assert lacks == [
        "the operator (Intensity) is no LinearOperator",
        "the operator (Intensity) is no HasSVD",
        "the likelihood (Operator) is no Gaussian",
        "prior 1 (Identity) is no Proximable or Composite",
    ]
    assert unmet(needs, Matrix, [], Gaussian) == ["it takes exactly 1 prior, there is none"]
    assert unmet(Needs(priors=range(2, 1000)), Matrix, [SoftThreshold], Gaussian) == [
        "it takes 2 or more priors, there is 1"
    ]
    assert unmet(Needs(), Matrix, [SoftThreshold, SoftThreshold], Gaussian) == ["it takes no prior, there are 2"]


class Factored(Product):
    def fix(self, **known) -> MaskedFourier | Matrix: ...


class Undeclared(Product):
    def fix(self, **known): ...


def test_what_is_left_for_one_unknown_is_what_fix_is_annotated_to_return():
    given = Given(Factored, {1: Identity, 2: SoftThreshold}, Gaussian, ("a", "b"), {1: "a", 2: "b"})
    of_b = given.of("b")
    assert (of_b.priors, of_b.on, of_b.unknowns) == ({2: SoftThreshold}, {2: None}, ())
    assert of_b.unmet(Needs(operator=(HasSVD,), prior=(Proximable,), priors=range(2))) == []
    assert given.of("a").unmet(Needs(prior=(Proximable,), priors=range(2))) == ["prior 1 (Identity) is no Proximable"]
    for operator, lacking in ((Product, 1), (Undeclared, 0), (Factored | Undeclared, 0)):  # not declared: asked later
        left = replace(given, operator=operator).of("b").without_priors()
        assert left.unmet(Needs(operator=(LinearOperator,))) == []
        assert len(left.unmet(Needs(operator=(HasSVD,)))) == lacking


class GaussianPrior:
    """x ~ N(mean, var): a denoiser, a density, and a linear generator, each in closed form."""

    def __init__(self, mean, var):
        self.mean, self.var = mean, var

    def denoise(self, x, sigma):
        return self.mean + self.var / (self.var + sigma**2) * (x - self.mean)

    def log_prob(self, x):
        return -((x - self.mean) ** 2 / self.var).sum(-1) / 2 - x.shape[-1] / 2 * torch.log(
            torch.tensor(2 * torch.pi * self.var)
        )

    def generate(self, z):
        return self.mean + self.var**0.5 * z

    def latent(self):
        return Space(("n",), (4,), torch.float64)


def test_log_density_and_denoiser_agree_by_tweedie():
    prior = GaussianPrior(0.5, 0.25)
    assert isinstance(prior, LogDensity)
    assert isinstance(prior, Denoiser)
    noisy = GaussianPrior(prior.mean, prior.var + 0.3**2)  # the density of x + σn
    x = torch.randn(4, dtype=torch.float64, generator=generator(0), requires_grad=True)
    (score,) = torch.autograd.grad(noisy.log_prob(x).sum(), x)
    torch.testing.assert_close((prior.denoise(x, 0.3) - x) / 0.3**2, score)


def test_generative_prior_by_latent_least_squares():
    prior = GaussianPrior(0.5, 0.25)
    assert isinstance(prior, Generative)
    a = torch.randn(3, 4, dtype=torch.float64, generator=generator(1))
    y = torch.randn(3, dtype=torch.float64, generator=generator(2))
    z = torch.zeros(prior.latent().shape, dtype=prior.latent().dtype, requires_grad=True)
    for _ in range(5000):
        objective = 0.5 * (a @ prior.generate(z) - y).square().sum() + 0.05 * z.square().sum()
        (gradient,) = torch.autograd.grad(objective, z)
        z = (z - 0.2 * gradient).detach().requires_grad_()
    scaled = 0.5 * a
    exact = torch.linalg.solve(
        scaled.T @ scaled + 0.1 * torch.eye(4), scaled.T @ (y - a @ torch.full((4,), 0.5).double())
    )
    torch.testing.assert_close(z.detach(), exact, rtol=1e-6, atol=1e-6)


def test_problem_takes_priors_on_named_unknowns():
    operator = block_diag(a=matrix(), b=matrix(3, 5, 1))
    x = operator.domain.randn(generator(1))

    class Square:
        def value(self, x):
            return x.abs().square().sum()

    problem = Problem(operator(x), operator, priors=(Square(),), on=("b",))
    torch.testing.assert_close(problem.objective(x), x["b"].abs().square().sum())
    assert isinstance(problem.zeros(), Blocks)
