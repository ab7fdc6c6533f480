"""PDHG and ADMM against each other, other programs, closed forms, and changes that must not matter."""

from __future__ import annotations

import cmath
import math

import cvxpy as cp
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import skimage.data
import torch
from skimage.restoration import denoise_tv_chambolle

from preimage.likelihoods import Gaussian
from preimage.operators import Identity, hstack
from preimage.problem import Problem
from preimage.solving import Stop, solve
from preimage.space import Blocks, Space
from preimage.testing.agreement import largest_error
from preimage_variational.examples import Dense, two_plateaus
from preimage_variational.priors.l1 import L1Norm
from preimage_variational.priors.non_negativity import NonNegativity
from preimage_variational.priors.total_variation import TotalVariation
from preimage_variational.solvers.admm import Admm
from preimage_variational.solvers.fista import Fista
from preimage_variational.solvers.pdhg import Pdhg
from preimage_variational.transforms.differences import Differences

PDHG, ADMM = Pdhg(tolerance=1e-11, balance=3.0), Admm(tolerance=1e-11, penalty=10.0)
LONG = Stop(3000, tolerance=1e-11)
LEFT = "a relative change below 1e-11 at a linear rate of 0.999 or better"
SOLVERS = pytest.mark.parametrize("solver", [PDHG, ADMM], ids=["pdhg", "admm"])
CONVEX = 1e-7
"""Of what cvxpy's interior-point solvers find: Clarabel stops at a gap of 1e-8, relative to the objective."""
GAP = "relative: Clarabel stops at a gap of 1e-8"
STRENGTH = "both objectives within 1e-7 of the least, and ½σ²‖x − x*‖² no more, by strong convexity"


def _rng(seed=0):
    return torch.Generator().manual_seed(seed)


def _variation(space, weight, dims=None, *, isotropic=True, **spacing):
    return TotalVariation(Differences(space, dims or space.dims, spacing), weight, isotropic=isotropic)


def _random_problem(shape, dtype, m, noise=0.1, seed=0):
    """A random matrix, the data of an image of two flat regions, and its space."""
    space = Space(("z", "y", "x")[-len(shape) :], shape, dtype)
    n = math.prod(shape)
    matrix = torch.randn(m, n, dtype=dtype, generator=_rng(seed)) / math.sqrt(m)
    truth = torch.ones(shape, dtype=dtype)
    truth[..., : shape[-1] // 2] = -0.5 + (1j if dtype.is_complex else 0)
    y = matrix @ truth.flatten() + noise * torch.randn(m, dtype=dtype, generator=_rng(seed + 1))
    return y, Dense(matrix, space)


def _steps(shape):
    """The differences along each dim, as sparse matrices on the flattened image."""
    matrices = []
    for axis in range(len(shape)):
        factors = [scipy.sparse.identity(n) for n in shape]
        one = scipy.sparse.diags([-np.ones(shape[axis]), np.ones(shape[axis] - 1)], [0, 1]).tolil()
        one[-1, -1] = 0
        factors[axis] = one
        product = factors[0]
        for factor in factors[1:]:
            product = scipy.sparse.kron(product, factor)
        matrices.append(product.tocsr())
    return matrices


def _cvxpy_variation(parts, shape, isotropic=True):
    """TV of an image whose real and, if there are two, imaginary parts are vectors."""
    steps = [[matrix @ part for part in parts] for matrix in _steps(shape)]
    if isotropic:
        return cp.sum(cp.norm(cp.vstack([step for pair in steps for step in pair]), 2, axis=0))
    return sum(cp.sum(cp.norm(cp.vstack(pair), 2, axis=0)) for pair in steps)


def _cvxpy_solution(problem, objective_of_parts):
    """The minimiser, with real and imaginary parts as variables."""
    n = math.prod(problem.domain.shape)
    parts = [cp.Variable(n) for _ in range(1 + problem.domain.is_complex)]
    least = cp.Problem(cp.Minimize(objective_of_parts(parts))).solve(solver=cp.CLARABEL)
    found = parts[0].value + (1j * parts[1].value if problem.domain.is_complex else 0)
    return torch.from_numpy(found).reshape(problem.domain.shape).to(problem.y.dtype), least


def _cvxpy_misfit(problem, parts):
    matrix, y = problem.operator.matrix.numpy(), problem.y.numpy()
    if len(parts) == 1:
        return 0.5 * cp.sum_squares(matrix @ parts[0] - y)
    real = matrix.real @ parts[0] - matrix.imag @ parts[1] - y.real
    imaginary = matrix.imag @ parts[0] + matrix.real @ parts[1] - y.imag
    return 0.5 * (cp.sum_squares(real) + cp.sum_squares(imaginary))


def _expect_minimiser(agreement, method, problem, x, expected, least):
    """No higher than the least value by more than either's accuracy; and as near as strong convexity makes it.

    With σ the smallest singular value of A, ½σ²‖x − x*‖² is at most the distance of the objective from its least.
    """
    reached = float(problem.objective(x))
    agreement(method, "cvxpy's Clarabel, for the objective", abs(reached / least - 1), CONVEX, GAP)
    strength = float(torch.linalg.svdvals(problem.operator.matrix)[-1]) ** 2
    allowed = 2 * math.sqrt(2 * CONVEX * abs(least) / strength)
    agreement(method, "cvxpy's Clarabel", float((x - expected).norm()), allowed, STRENGTH)


def _by(solver, prior="total-variation"):
    """Of a prior and a solver, the name in the table."""
    return f"prior.{prior} by solver.{'pdhg' if isinstance(solver, Pdhg) else 'admm'}"


@pytest.fixture(scope="module")
def photograph():
    """A noisy photograph, denoised by scikit-image as well."""
    clean = torch.from_numpy(skimage.data.camera()[100:180:4, 200:296:4] / 255.0)
    noisy = clean + 0.1 * torch.randn(clean.shape, dtype=clean.dtype, generator=_rng())
    space = Space(("y", "x"), tuple(noisy.shape), noisy.dtype)
    denoised = denoise_tv_chambolle(noisy.numpy(), weight=0.1, eps=1e-14, max_num_iter=20000)
    return Problem(noisy, Identity(space), priors=(_variation(space, 0.1),)), torch.from_numpy(denoised)


@pytest.mark.parametrize("solver", [Pdhg(balance=10.0), Admm(penalty=10.0)], ids=["pdhg", "admm"])
def test_total_variation_denoising_is_chambolle_s_of_scikit_image(solver, photograph, agreement):
    problem, expected = photograph
    state = solve(solver, problem, Stop(1500))
    # ½‖x − x*‖² is at most the gap between the objective at x and that of the dual problem at any p with |p| ≤ λ.
    norm, differences = problem.priors[0].split()
    if isinstance(solver, Pdhg):
        (dual,) = state.duals
    else:
        dual = state.multipliers[0] * (10.0 / differences.norm().value ** 2)
    dual = norm.project(dual, norm.weight)
    bound = 0.5 * (problem.y.square().sum() - (problem.y - differences.adjoint(dual)).square().sum())
    ours, theirs = (float(problem.objective(x) - bound) for x in (state.x, expected))
    assert 0 < ours < 1e-5 * float(bound)
    agreement(
        _by(solver),
        "scikit-image's denoise_tv_chambolle",
        float((state.x - expected).norm()),
        math.sqrt(2 * ours) + math.sqrt(2 * theirs),
        "duality gaps of both: ½‖x − x*‖² is no more",
    )
    assert float((state.x - expected).norm()) < 1e-4 * float(expected.norm())


@SOLVERS
@pytest.mark.parametrize(
    ("shape", "dtype", "isotropic"),
    [
        ((5, 6), torch.float64, True),
        ((5, 6), torch.complex128, True),
        ((5, 6), torch.complex128, False),
        ((3, 4, 3), torch.float64, True),
        ((3, 4, 3), torch.complex128, False),
        ((12,), torch.float64, True),
    ],
)
def test_least_squares_with_total_variation_is_cvxpy_s(solver, shape, dtype, isotropic, agreement):
    y, operator = _random_problem(shape, dtype, 50)
    problem = Problem(y, operator, priors=(_variation(operator.domain, 0.15, isotropic=isotropic),))
    expected, least = _cvxpy_solution(
        problem, lambda parts: _cvxpy_misfit(problem, parts) + 0.15 * _cvxpy_variation(parts, shape, isotropic)
    )
    x = solve(solver, problem, Stop(3000, tolerance=1e-9)).x
    _expect_minimiser(agreement, _by(solver), problem, x, expected, least)


@SOLVERS
@pytest.mark.parametrize("weight", [0.2, 1.5])
def test_plateaus_move_by_the_weight_over_their_lengths(solver, weight, agreement):
    problem = two_plateaus(weight)  # with 1.5 they still do not meet
    error = largest_error(solve(solver, problem, LONG).x, problem.solution)
    agreement(_by(solver), "two plateaus in closed form", error, 1e-8, LEFT)


@SOLVERS
def test_plateaus_that_meet_become_one(solver, agreement):
    problem = two_plateaus(10.0)
    mean = problem.y.mean().expand(7)
    error = largest_error(solve(solver, problem, LONG).x, mean)
    agreement(_by(solver), "two plateaus in closed form", error, 1e-8, LEFT)


def _lasso(dtype, scale=1.0):
    """An underdetermined problem with a sparse truth."""
    space = Space(("z", "y", "x"), (40, 1, 1), dtype)
    matrix = torch.randn(20, 40, dtype=dtype, generator=_rng()) / math.sqrt(20)
    truth = torch.randn(40, dtype=dtype, generator=_rng(1)) * (torch.rand(40, generator=_rng(2)) < 0.15)
    y = matrix @ truth + 0.05 * torch.randn(20, dtype=dtype, generator=_rng(3))
    return Problem(scale * y, Dense(scale * matrix, space), priors=(L1Norm(scale**2 * 0.1),))


@pytest.mark.parametrize("image_update", ["pdhg", "closed-form", "conjugate-gradient"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_lasso_is_fista_s_and_meets_its_conditions(image_update, dtype, agreement):
    """|Aᴴ(y − Ax)| ≤ λ everywhere, and λ·x/|x| where x is not 0 (Karush, Kuhn and Tucker)."""
    problem = _lasso(dtype)
    solver = PDHG if image_update == "pdhg" else Admm(tolerance=1e-12, image_update=image_update)
    x = solve(solver, problem, Stop(20000, tolerance=1e-12)).x
    expected = solve(Fista(restart=True), problem, Stop(5000, tolerance=1e-14)).x
    # A relative change below 1e-12 at a linear rate of 0.999 or better leaves 1e-9.
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-8)
    pull, support = -problem.data_gradient(x), expected.abs() > 0
    assert 0 < int(support.sum()) < 40
    beyond = max(float(pull.abs().max()) / 0.1 - 1, 0.0)
    off = largest_error(pull[support] / 0.1, x[support] / x[support].abs())
    for error in (beyond, off):
        reason = "of λ: x to 1e-8, seen through curvatures of some 10 over λ = 0.1"
        method = "solver.pdhg" if image_update == "pdhg" else "solver.admm"
        agreement(method, "the lasso's conditions of Karush, Kuhn and Tucker", error, 1e-6, reason)


@pytest.mark.parametrize(
    "solver",
    [PDHG, Admm(tolerance=1e-11), Admm(tolerance=1e-11, image_update="conjugate-gradient")],
    ids=["pdhg", "closed form", "cg"],
)
def test_non_negative_least_squares_is_scipy_s(solver, agreement):
    y, operator = _random_problem((4, 5), torch.float64, 30, noise=0.5)
    expected, _ = scipy.optimize.nnls(operator.matrix.numpy(), y.numpy())
    assert 0 < int((expected == 0).sum()) < 20
    x = solve(solver, Problem(y, operator, priors=(NonNegativity(),)), LONG).x
    agreement(_by(solver, "non-negativity"), "SciPy's nnls", largest_error(x.flatten(), expected), 1e-8, LEFT)


@pytest.mark.parametrize("solver", [Pdhg(), Admm()], ids=["pdhg", "admm"])
def test_several_unknowns_with_priors_of_their_own_are_cvxpy_s(solver, agreement):
    """y = A flat + B sparse, with variation of what is flat; what is sparse is not negative either."""
    y, of_flat = _random_problem((4, 5), torch.float64, 60, seed=3)
    _, of_sparse = _random_problem((4, 5), torch.float64, 60, seed=5)
    y = y + 2 * of_sparse.matrix[:, 7] - of_sparse.matrix[:, 11]
    operator = hstack(flat=of_flat, sparse=of_sparse)
    priors = (_variation(of_flat.domain, 0.2), L1Norm(0.1), NonNegativity())
    problem = Problem(y, operator, priors=priors, on=("flat", "sparse", "sparse"))
    x = solve(solver, problem, Stop(500)).x
    flat, sparse = cp.Variable(20), cp.Variable(20)
    misfit = 0.5 * cp.sum_squares(of_flat.matrix.numpy() @ flat + of_sparse.matrix.numpy() @ sparse - y.numpy())
    cost = misfit + 0.2 * _cvxpy_variation([flat], (4, 5)) + 0.1 * cp.norm(sparse, 1)
    least = cp.Problem(cp.Minimize(cost), [sparse >= 0]).solve(solver=cp.CLARABEL)
    assert isinstance(x, Blocks)
    assert float(x["sparse"].min()) > -1e-7
    assert int((x["sparse"] > 1e-6).sum()) < 15
    method = "solver.pdhg" if isinstance(solver, Pdhg) else "solver.admm"
    error = abs(float(problem.objective(x)) / least - 1)
    agreement(method, "cvxpy's Clarabel, for two unknowns with three priors, the objective", error, CONVEX, GAP)
    strength = float(torch.linalg.svdvals(torch.cat([of_flat.matrix, of_sparse.matrix], 1))[-1]) ** 2
    allowed = 2 * math.sqrt(2 * CONVEX * least / strength)
    for name, expected in (("flat", flat.value), ("sparse", sparse.value)):
        distance = float((x[name].flatten() - torch.from_numpy(expected)).norm())
        agreement(method, "cvxpy's Clarabel, for two unknowns with three priors", distance, allowed, STRENGTH)


class Counts:
    """Poisson's likelihood Σ u − y log u, of u > 0."""

    scale_equivariant = False

    def value(self, u, y):
        return (u - torch.xlogy(y, u)).sum() if bool((u > 0).all()) else torch.tensor(math.inf, dtype=u.dtype)

    def grad(self, u, y):
        return 1 - y / u

    def prox(self, u, y, step):
        shifted = u - step
        return (shifted + (shifted.square() + 4 * step * y).sqrt()) / 2

    def sample(self, u, draw):
        return u.clone()


@pytest.mark.parametrize("prior", ["total variation", "non-negativity"])
@pytest.mark.parametrize("solver", [Pdhg(tolerance=1e-11, balance=0.05), Admm(tolerance=1e-11, penalty=0.05)])
def test_counts_with_a_prior_are_cvxpy_s(solver, prior, agreement):
    space = Space(("y", "x"), (4, 5), torch.float64)
    matrix = torch.rand(40, 20, dtype=torch.float64, generator=_rng(1)) * (torch.rand(40, 20, generator=_rng(2)) < 0.4)
    truth = torch.full((4, 5), 2.0, dtype=torch.float64)
    truth[:, 3:] = 9.0
    if prior == "non-negativity":
        truth[0] = 0
    y = torch.poisson(matrix @ truth.flatten(), generator=_rng(3))
    part = NonNegativity() if prior == "non-negativity" else _variation(space, 0.3)
    problem = Problem(y, Dense(matrix, space), Counts(), (part,))
    x = solve(solver, problem, LONG).x
    image = cp.Variable(20)
    predicted = matrix.numpy() @ image
    cost = cp.sum(predicted) - y.numpy() @ cp.log(predicted + 0.0)
    if prior == "non-negativity":
        cost = cp.Minimize(cost)
        constraints = [image >= 0]
    else:
        cost, constraints = cp.Minimize(cost + 0.3 * _cvxpy_variation([image], (4, 5))), []
    least = cp.Problem(cost, constraints).solve(solver=cp.CLARABEL)
    method = _by(solver, prior.replace(" ", "-"))
    value = float(problem.objective(x.clamp_min(0) if prior == "non-negativity" else x))
    error, reason = abs(value / least - 1), "relative: Clarabel's gap of 1e-8, of a logarithm's cone"
    agreement(method, "cvxpy's Clarabel, of counts, for the objective", error, 1e-6, reason)
    # The curvature of −y log u at u is y/u²: the objective is within the above of its least, and so x of its place.
    curved = matrix.mT @ ((y / (matrix @ x.flatten()).square())[:, None] * matrix)
    strength = float(torch.linalg.eigvalsh(curved)[0])
    assert strength > 0
    distance = float((x.flatten() - torch.from_numpy(image.value)).norm())
    allowed = 2 * math.sqrt(2 * CONVEX * abs(least) / strength)
    agreement(method, "cvxpy's Clarabel, of counts", distance, allowed, STRENGTH)


@SOLVERS
@pytest.mark.parametrize("scale", [0.01, 0.1, 10.0, 100.0])
def test_the_units_of_the_operator_do_not_change_an_iterate(solver, scale):
    y, operator = _random_problem((4, 5), torch.complex128, 12)
    problem = Problem(y, operator, priors=(_variation(operator.domain, 0.1), L1Norm(0.02)))
    priors = (_variation(operator.domain, 0.1 * scale**2), L1Norm(0.02 * scale**2))
    scaled = Problem(scale * y, Dense(scale * operator.matrix, operator.domain), priors=priors)
    found, expected = (solve(solver, one, Stop(60)).x for one in (scaled, problem))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


@SOLVERS
def test_nor_do_the_units_of_the_data_and_of_the_pixels(solver):
    y, operator = _random_problem((4, 5), torch.float64, 12)
    problem = Problem(y, operator, priors=(_variation(operator.domain, 0.1), L1Norm(0.02)))
    priors = (_variation(operator.domain, 8 * 0.1, y=4.0, x=4.0), L1Norm(2 * 0.02))  # λ |D/4| is λ/4 |D|
    scaled = Problem(2 * y, operator, priors=(priors[0], priors[1]))
    found, expected = (solve(solver, one, Stop(60)).x for one in (scaled, problem))
    torch.testing.assert_close(found, 2 * expected, rtol=0, atol=1e-11)


@SOLVERS
def test_a_phase_of_the_data_is_one_of_every_iterate(solver):
    y, operator = _random_problem((4, 5), torch.complex128, 12)
    turn = cmath.exp(0.7j)
    problem = Problem(y, operator, priors=(_variation(operator.domain, 0.1), L1Norm(0.02)))
    turned = Problem(y * turn, operator, priors=problem.priors)
    for n in (1, 3, 40):
        found, expected = (solve(solver, one, Stop(n)).x for one in (turned, problem))
        torch.testing.assert_close(found, expected * turn, rtol=0, atol=1e-12)


class Hidden:
    """A Gaussian likelihood that cannot be told to be one: it has a value and a prox."""

    scale_equivariant = True

    def __init__(self):
        self.inner = Gaussian()

    def value(self, u, y):
        return self.inner.value(u, y)

    def prox(self, u, y, step):
        return self.inner.prox(u, y, step)


@SOLVERS
def test_least_squares_by_the_prox_of_the_likelihood_is_the_same(solver):
    y, operator = _random_problem((4, 5), torch.complex128, 30)
    priors = (_variation(operator.domain, 0.1),)
    expected = solve(solver, Problem(y, operator, priors=priors), LONG).x
    found = solve(solver, Problem(y, operator, Hidden(), priors), LONG).x
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)


@SOLVERS
def test_a_dim_that_nothing_couples_may_be_empty_of_differences(solver):
    """A dim of length one: its differences, and their norm, are 0."""
    space = Space(("z", "y"), (1, 5), torch.float64)
    y = space.randn(_rng())
    problem = Problem(y, Identity(space), priors=(_variation(space, 0.5, ("z",)),))
    torch.testing.assert_close(solve(solver, problem, LONG).x, y, rtol=0, atol=1e-9)
