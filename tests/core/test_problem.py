"""A problem: its gradient, its data and how well they are met, and what no data can tell."""

from dataclasses import dataclass

import pytest
import torch
from support.dense import Intensity, Matrix, RealPart, generator

from preimage.errors import CapabilityError, DataError
from preimage.likelihoods import Gaussian, data_space, expected
from preimage.operators import hstack, vstack
from preimage.problem import Problem
from preimage.solving import initial_estimate
from preimage.space import Blocks, ProductSpace, Space
from preimage.testing.comparing import gradient as autograd
from preimage.testing.toys import Quadratic

C = torch.complex128


@dataclass(frozen=True)
class Magnitudes(Gaussian):
    """½‖|u| − y‖²."""

    phaseless = True

    def value(self, u, y):
        return super().value(u.abs(), y)

    def grad(self, u, y):
        return u - y * u.sgn()

    def expected(self, u):
        return Blocks({name: part.abs() for name, part in u.items()}) if isinstance(u, Blocks) else u.abs()

    def initial(self, operator, y, seed):
        return operator.adjoint(y.to(operator.codomain.dtype)) + seed


class Dark(Gaussian):
    """Data with a background of 3."""

    def expected(self, u):
        return u + 3


def matrix(m=5, n=3, dtype=C, seed=1):
    return Matrix(torch.randn(m, n, dtype=dtype, generator=generator(seed)))


def phaseless(operator, batch=()):
    truth = operator.domain.randn(generator(2), batch)
    return Problem(Magnitudes().expected(operator(truth)), operator, Magnitudes(), seed=7), truth


def test_the_gradient_is_autograds_of_the_objective():
    operator = hstack(a=matrix(seed=1), b=matrix(n=2, seed=2))
    priors = (Quadratic(operator.domain["b"], 0.3), Quadratic(operator.domain["a"], 2.0), Both(operator.domain))
    problem = Problem(operator.codomain.randn(generator(3)), operator, priors=priors, on=("b", "a", None))
    x = operator.domain.randn(generator(4))
    for one, point in ((problem, x), (Problem(problem.y, matrix(), priors=(Quadratic(matrix().domain, 0.7),)), x["a"])):
        found, wanted = one.gradient(point), autograd(one.objective, point)
        for part, other in zip(leaves(found), leaves(wanted), strict=True):
            torch.testing.assert_close(part, other)


class Both:
    """Σ|x|² over all unknowns."""

    def __init__(self, space):
        self.space = space

    def value(self, x):
        return self.space.squared_norm(x).sum()

    def grad(self, x):
        return 2 * x


def leaves(x):
    return list(x.values()) if isinstance(x, Blocks) else [x]


def test_a_prior_without_a_gradient_is_named():
    problem = Problem(torch.zeros(5, dtype=C), matrix(), priors=(object(),))
    with pytest.raises(CapabilityError, match="the prior object has no gradient"):
        problem.gradient(problem.zeros())


def test_a_prior_is_on_an_unknown_that_is_there():
    both = hstack(a=matrix(seed=1), b=matrix(n=2, seed=2))
    with pytest.raises(DataError, match=r"on 'c': there is no unknown 'c': those of the operator are a, b"):
        Problem(torch.zeros(5, dtype=C), both, priors=(Both(None),), on=("c",))
    with pytest.raises(DataError, match=r"on 'a': there is no unknown 'a': the operator has one, without a name"):
        Problem(torch.zeros(5, dtype=C), matrix(), priors=(Both(None),), on=("a",))


def test_data_are_real_where_no_phase_is_seen():
    space = Space(("m",), (5,), torch.complex64)
    assert data_space(Gaussian(), space) == data_space(Gaussian, space) == space
    assert data_space(Magnitudes(), space) == data_space(Magnitudes, space) == Space(("m",), (5,), torch.float32)
    assert data_space(Magnitudes | Gaussian, space) == space
    assert data_space(Magnitudes, ProductSpace(a=space)) == ProductSpace(a=space.real)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_residual_is_of_what_is_expected(batch):
    problem, truth = phaseless(matrix(), batch)
    assert float(problem.residual(1j * truth).max()) < 1e-15  # a phase is not seen
    x = 2 * truth
    torch.testing.assert_close(problem.misfit(x), problem.y)
    torch.testing.assert_close(problem.residual(x), torch.ones(batch, dtype=torch.float64))
    torch.testing.assert_close(problem.residual(x, misfit=problem.misfit(x)), problem.residual(x))
    dark = Problem(problem.operator(truth) + 3, problem.operator, Dark())
    assert float(dark.residual(truth).max()) < 1e-15
    assert torch.equal(expected(Gaussian(), truth), truth)


def test_the_backprojection_of_magnitudes_takes_them_as_they_are():
    problem, _ = phaseless(matrix(), (2,))
    torch.testing.assert_close(problem.backprojection(), problem.operator.adjoint(problem.y.to(C)))
    stacked, _ = phaseless(vstack(one=matrix(), other=matrix(m=2, seed=2)))
    expected = stacked.operator.adjoint(Blocks({name: part.to(C) for name, part in stacked.y.items()}))
    torch.testing.assert_close(stacked.backprojection(), expected)
    plain = Problem(problem.operator.codomain.randn(), problem.operator)
    assert torch.equal(plain.backprojection(), plain.operator.adjoint(plain.y))


def test_what_no_data_tell_is_the_phase_or_the_sign_of_a_linear_operators():
    assert phaseless(matrix())[0].ambiguity == {"phase"}
    assert phaseless(matrix(dtype=torch.float64))[0].ambiguity == {"sign"}
    assert phaseless(RealPart())[0].ambiguity == {"sign"}  # i · x has other magnitudes
    linear = matrix()
    assert Problem(torch.zeros(5, dtype=C), linear).ambiguity == frozenset()
    nonlinear = Intensity(matrix(dtype=torch.float64))
    assert Problem(torch.zeros(5, dtype=torch.float64), nonlinear, Magnitudes()).ambiguity == nonlinear.ambiguity


def test_a_likelihood_may_know_where_to_start():
    problem, truth = phaseless(matrix())
    torch.testing.assert_close(initial_estimate(problem), problem.backprojection() + 7)
    assert torch.equal(initial_estimate(problem, truth), truth)
    assert not initial_estimate(Problem(truth.new_zeros(5), matrix())).any()
