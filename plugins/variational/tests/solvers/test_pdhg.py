from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from preimage.errors import CapabilityError
from preimage.operators import Identity, LinearOperator, Norm
from preimage.problem import Problem
from preimage.solving import Stop, solve
from preimage.space import Blocks, ProductSpace, Space
from preimage.testing import SolverLaws
from preimage.testing.agreement import largest_error
from preimage_variational.examples import IMAGE, Deviation, problems, two_unknowns, with_prior
from preimage_variational.priors.l1 import L1Norm
from preimage_variational.priors.non_negativity import NonNegativity
from preimage_variational.priors.sparsity import WaveletSparsity
from preimage_variational.priors.tikhonov import Tikhonov
from preimage_variational.priors.total_variation import TotalVariation
from preimage_variational.solvers import pdhg
from preimage_variational.solvers.pdhg import Pdhg, Settings, preimage_memory, preimage_scalars, preimage_solver
from preimage_variational.transforms.differences import Differences
from preimage_variational.transforms.wavelet import Wavelet

PLANE = Space(("y", "x"), (6, 16), torch.complex128)


class TestLaws(SolverLaws):
    method = pdhg


class Weighted(LinearOperator):
    """y = gain · x, pixel by pixel; it counts how often it is used."""

    def __init__(self, gain, space=PLANE):
        super().__init__(space, space)
        self.gain = gain
        self.calls = []

    def _apply(self, x):
        self.calls.append("A")
        return self.gain * x

    def _apply_adjoint(self, y):
        self.calls.append("Aᴴ")
        return self.gain.conj() * y

    def _apply_normal(self, x):
        self.calls.append("AᴴA")
        return self.gain.abs().square() * x

    def _bound(self):
        return Norm(float(self.gain.abs().max()), "exact")


def _problem(likelihood=None, space=PLANE, dims=("x",)):
    numbers = torch.Generator().manual_seed(0)
    operator = Weighted(space.randn(numbers), space)
    priors = (TotalVariation(Differences(space, dims), 0.3), L1Norm(0.1), Tikhonov(0.2))
    y = space.randn(numbers)
    return Problem(y, operator, priors=priors) if likelihood is None else Problem(y, operator, likelihood, priors)


def test_it_is_the_paper_formula(agreement):
    """Chambolle & Pock's algorithm 1 with θ = 1, and as many dual variables as there are terms but one."""
    problem, balance = _problem(), 0.7
    gain, differences = problem.operator.gain, problem.priors[0].differences
    square, d2 = float(gain.abs().max()) ** 2, differences.norm().value ** 2
    tau = 1 / (3 * balance * square)  # ‖x‖₁ has its prox in the primal
    x = ahead = PLANE.zeros()
    p, q, z = differences.codomain.zeros(), PLANE.zeros(), PLANE.zeros()
    for _ in range(9):
        p = p + balance * square / d2 * differences(ahead)
        p = p / (p.abs() / 0.3).clamp_min(1)
        q = q + balance * square * ahead
        q = q * (0.2 / (0.2 + balance * square))  # of ‖q‖²/(2·0.2)
        z = (z + balance * (gain * ahead - problem.y)) / (1 + balance)
        x, last = x - tau * (differences.adjoint(p) + q + gain.conj() * z), x
        x = x * (1 - tau * 0.1 / x.abs()).clamp_min(0)
        ahead = 2 * x - last
    error = largest_error(solve(Pdhg(balance=balance), problem, Stop(9)).x, x)
    agreement("solver.pdhg", "the paper's iteration, term by term", error, 1e-13, "nine steps of rounding")


def test_of_gaussian_data_only_the_image_of_the_multiplier_is_kept():
    """With a likelihood that is not known to be Gaussian every iterate is the same; the multiplier is in the data."""

    class Hidden:
        scale_equivariant = True

        def prox(self, u, y, step):
            return (u + step * y) / (1 + step)

    problem, hidden = _problem(), _problem(Hidden())
    short, long = (solve(Pdhg(), one, Stop(9)) for one in (problem, hidden))
    torch.testing.assert_close(short.x, long.x, rtol=0, atol=1e-13)
    torch.testing.assert_close(short.fit, -problem.operator.gain.conj() * long.fit, rtol=0, atol=1e-13)
    assert long.data is None


def test_a_step_costs_one_normal_operation_or_one_a_and_one_adjoint():
    for likelihood, expected in ((None, ["AᴴA"]), (Deviation(), ["A", "Aᴴ"])):
        problem = _problem(likelihood)
        with torch.no_grad():
            state = Pdhg().start(problem)
            problem.operator.calls.clear()
            Pdhg().step(problem, state)
        assert problem.operator.calls == expected


def test_a_step_reuses_the_memory_of_its_state():
    problem = _problem()
    with torch.no_grad():
        state = Pdhg().start(problem)
        x, ahead, fit = state.x.data_ptr(), state.ahead.data_ptr(), state.fit.data_ptr()
        dual = state.duals[0].data_ptr()
        state = Pdhg().step(problem, state)
    assert (state.x.data_ptr(), state.ahead.data_ptr()) == (ahead, x)
    assert state.fit.data_ptr() == fit
    assert state.duals[0].data_ptr() == dual


@pytest.mark.parametrize("likelihood", [None, Deviation()])
def test_blocks_that_nothing_couples_agree_bit_for_bit(likelihood):
    whole = _problem(likelihood)
    norm = preimage_scalars(Settings())["norm"]
    assert norm.merge == "max"
    scalars = {"norm": norm.partial(whole)}
    expected = solve(
        Pdhg(), Problem(whole.y, whole.operator, whole.likelihood, whole.priors, scalars=scalars), Stop(20)
    )
    for rows in (slice(0, 1), slice(1, 6)):
        space = Space(PLANE.dims, (rows.stop - rows.start, 16), PLANE.dtype)
        operator = Weighted(whole.operator.gain[rows], space)
        assert operator.norm().value <= scalars["norm"]
        priors = (TotalVariation(Differences(space, ("x",)), 0.3), *whole.priors[1:])
        part = Problem(whole.y[rows], operator, whole.likelihood, priors, scalars=scalars)
        assert torch.equal(solve(Pdhg(), part, Stop(20)).x, expected.x[rows])


def test_every_estimate_meets_the_constraint_in_whatever_place_it_is():
    problem = _problem()
    for priors in ((NonNegativity(), *problem.priors), (*problem.priors, NonNegativity())):
        constrained = Problem(problem.y, problem.operator, priors=priors)
        for n in (1, 2, 7):
            x = solve(Pdhg(), constrained, Stop(n)).x
            assert float(x.real.min()) >= 0
            assert not x.imag.any()


def test_one_prior_of_each_unknown_has_its_prox_in_the_primal():
    space = ProductSpace(image=PLANE, field=PLANE)
    priors = (L1Norm(0.1), Tikhonov(0.2), Tikhonov(0.3), NonNegativity())
    problem = Problem(space.zeros(), Identity(space), priors=priors, on=("image", "image", None, "field"))
    scheme = pdhg._Scheme.of(problem, 1.0)
    assert [(type(term.part).__name__, term.on) for term in scheme.primal] == [
        ("NonNegativity", "field"),
        ("L1Norm", "image"),
    ]
    assert [(type(term.part).__name__, term.on) for term in scheme.dual] == [("Tikhonov", "image"), ("Tikhonov", None)]


def test_the_step_lengths_are_as_long_as_they_may_be():
    """τ Σ σ‖K‖² = 1 over the data term and the terms in the dual."""
    for problem in (_problem(), two_unknowns(), with_prior(next(iter(problems())), Tikhonov(1.0))):
        scheme = pdhg._Scheme.of(problem, 0.4)
        of_data = 0.4 * problem.operator.norm().value ** 2
        total = of_data + sum(scheme.sigma(term) * term.linear.norm().value ** 2 for term in scheme.dual)
        assert scheme.tau * total == pytest.approx(1, rel=1e-14)


def test_wavelets_have_their_prox_whether_alone_or_beside_another(agreement):
    wavelet = Wavelet(PLANE, PLANE.dims, "db2", 2)
    y = PLANE.randn(torch.Generator().manual_seed(3))
    sparse, ridge = WaveletSparsity(wavelet, 0.3), Tikhonov(0.5)
    expected = sparse.prox(y / 1.5, 1 / 1.5)  # both priors together shrink, then threshold
    for priors in ((sparse, ridge), (ridge, sparse)):
        x = solve(Pdhg(), Problem(y, Identity(PLANE), priors=priors), Stop(2000, tolerance=1e-12)).x
        error, reason = largest_error(x, expected), "what a change below 1e-12 leaves at a linear rate of 0.999"
        agreement("prior.sparsity by solver.pdhg", "denoising with two priors in closed form", error, 1e-9, reason)


class Hasty(Pdhg):
    """Leaves it to the loop, which looks at the image alone."""

    def step(self, problem, state):
        return replace(super().step(problem, state), change=None)


def test_it_does_not_stop_while_the_image_rests_and_multipliers_move():
    space = Space(("x",), (2,), torch.float64)
    prior = TotalVariation(Differences(space, ("x",)), 5.0)
    y = torch.tensor([-3.0, 3.3], dtype=torch.float64)
    problem = Problem(y, Identity(space), priors=(prior, NonNegativity()))
    mean = torch.full((2,), 0.15, dtype=torch.float64)
    found = solve(Pdhg(), problem, Stop(1000, tolerance=1e-9))
    torch.testing.assert_close(found.x, mean, rtol=0, atol=1e-7)
    assert found.iteration < 1000
    hasty = solve(Hasty(), problem, Stop(1000, tolerance=1e-9))
    assert float((hasty.x - mean).abs().max()) > 1


def test_a_norm_that_is_not_known_exactly_is_taken_with_its_margin():
    problem = _problem()
    cautious = Problem(problem.y, problem.operator, priors=problem.priors, scalars={"norm": 1e3})
    assert float(solve(Pdhg(), cautious, Stop(3)).x.abs().max()) < 1e-4


def test_an_operator_that_returns_its_argument_is_safe():
    y = IMAGE.randn(torch.Generator().manual_seed(2))
    before = y.clone()
    problem = Problem(y, Identity(IMAGE), priors=(L1Norm(0.5), Tikhonov(0.5)))
    x = solve(Pdhg(), problem, Stop(500)).x
    torch.testing.assert_close(x, L1Norm(0.5 / 1.5).prox(before / 1.5, 1.0), rtol=0, atol=1e-12)
    assert torch.equal(y, before)


def test_priors_that_have_no_prox_and_no_splitting_are_refused():
    class Nothing:
        def value(self, x):
            return x.abs().sum()

    with pytest.raises(CapabilityError, match=r"prior 1 \(Nothing\) is no Proximable or Composite"):
        solve(Pdhg(), Problem(IMAGE.zeros(), Identity(IMAGE), priors=(Nothing(),)))


def test_settings_make_the_solver():
    solver = preimage_solver(Settings(max_iter=7, tolerance=1e-3, balance=2.0))
    assert (solver.stop, solver.balance, solver.couples) == (Stop(7, 1e-3), 2.0, False)
    assert preimage_memory(Settings(), None).per_image < preimage_memory(Settings(tolerance=1e-3), None).per_image
    with pytest.raises(ValidationError):
        Settings(balance=0)


def test_its_multipliers_are_tensors_or_blocks_of_the_terms():
    problem = two_unknowns()
    state = solve(Pdhg(), problem, Stop(2))
    assert isinstance(state.x, Blocks)
    assert isinstance(state.duals[0], Blocks)  # of the prior on both
    assert tuple(state.duals[1].shape) == (2, *IMAGE.shape)  # of the differences of the field
