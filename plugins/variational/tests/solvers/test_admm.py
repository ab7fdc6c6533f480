from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from preimage.errors import CapabilityError, RequestError
from preimage.operators import Identity, LinearOperator, Norm, NormalSolvable, hstack
from preimage.priors import Proximable
from preimage.problem import Problem
from preimage.solving import Stop, solve
from preimage.space import Space
from preimage.testing import SolverLaws
from preimage.testing.agreement import largest_error
from preimage_variational.examples import (
    IMAGE,
    Deviation,
    of_several_terms,
    problems,
    two_plateaus,
    with_empty_element,
    with_prior,
)
from preimage_variational.priors.l1 import L1Norm
from preimage_variational.priors.tikhonov import Tikhonov
from preimage_variational.priors.total_variation import TotalVariation
from preimage_variational.solvers import admm
from preimage_variational.solvers.admm import Admm, Settings, preimage_memory, preimage_scalars, preimage_solver
from preimage_variational.transforms.differences import Differences

PLANE = Space(("y", "x"), (6, 16), torch.complex128)


class TestLaws(SolverLaws):
    method = admm


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

    def solve_normal(self, rhs, damping):
        self.calls.append("solve")
        return rhs / (self.gain.abs().square() + damping)


def _operator(space=PLANE):
    return Weighted(space.randn(torch.Generator().manual_seed(0)), space)


def _data(space=PLANE):
    return space.randn(torch.Generator().manual_seed(1))


def _with_variation(likelihood=None, weight=0.3):
    prior = TotalVariation(Differences(PLANE, PLANE.dims), weight)
    arguments = {} if likelihood is None else {"likelihood": likelihood}
    return Problem(_data(), _operator(), priors=(prior,), **arguments)


def _dense(differences):
    """DᴴD as a matrix."""
    n = 6 * 16
    return differences.normal(torch.eye(n, dtype=PLANE.dtype).reshape(n, *PLANE.shape)).reshape(n, n).mT


def test_it_is_the_paper_formula_when_the_image_is_solved_for_exactly(agreement):
    """Boyd et al., section 3.1.1, with as many iterations of conjugate gradients as there are pixels."""
    problem = _with_variation()
    gain, differences = problem.operator.gain, problem.priors[0].differences
    rho = 0.4 * float(gain.abs().max()) ** 2 / differences.norm().value ** 2
    system = torch.diag(gain.abs().square().flatten()).to(PLANE.dtype) + rho * _dense(differences)
    x, u = PLANE.zeros(), differences.codomain.zeros()
    for _ in range(5):
        point = differences(x) + u
        length = point.abs().square().sum(0).sqrt()
        z = point * (1 - 0.3 / rho / length).clamp_min(0).nan_to_num(neginf=0)
        u = point - z
        target = gain.conj() * problem.y + rho * differences.adjoint(z - u)
        x = torch.linalg.solve(system, target.flatten()).reshape(PLANE.shape)
    error = largest_error(solve(Admm(penalty=0.4, inner_iterations=60), problem, Stop(5)).x, x)
    reason = "five linear systems by conjugate gradients, to rounding times their condition"
    agreement("solver.admm", "the paper's iteration with a dense matrix", error, 1e-11, reason)


@pytest.mark.parametrize("likelihood", [None, Deviation()])
def test_closed_form_and_conjugate_gradients_are_the_same_iteration(likelihood):
    arguments = {} if likelihood is None else {"likelihood": likelihood}
    problem = Problem(_data(), _operator(), priors=(L1Norm(0.1), Tikhonov(0.2)), **arguments)
    ways = ("closed-form", "conjugate-gradient")
    closed, iterated = (solve(Admm(image_update=way, inner_iterations=60), problem, Stop(7)).x for way in ways)
    torch.testing.assert_close(iterated, closed, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("image_update", "expected"), [("auto", ["solve"]), ("conjugate-gradient", 4 * ["AᴴA"])])
def test_a_step_costs_one_solution_or_as_many_normal_operations_as_it_says(image_update, expected):
    problem = Problem(_data(), _operator(), priors=(L1Norm(0.1),))
    solver = Admm(image_update=image_update, inner_iterations=3)
    with torch.no_grad():
        state = solver.start(problem)
        problem.operator.calls.clear()
        solver.step(problem, state)
    assert problem.operator.calls == expected


def test_in_closed_form_with_a_fixed_penalty_blocks_agree_bit_for_bit():
    solver = Admm(image_update="closed-form")
    assert not solver.couples
    norm = preimage_scalars(Settings())["norm"]
    priors = (L1Norm(0.1), Tikhonov(0.2))
    operator, y = _operator(), _data()
    scalars = {"norm": norm.partial(Problem(y, operator))}
    expected = solve(solver, Problem(y, operator, priors=priors, scalars=scalars), Stop(20)).x
    for rows in (slice(0, 1), slice(1, 6)):
        space = Space(PLANE.dims, (rows.stop - rows.start, 16), PLANE.dtype)
        part = Problem(y[rows], Weighted(operator.gain[rows], space), priors=priors, scalars=scalars)
        assert torch.equal(solve(solver, part, Stop(20)).x, expected[rows])


def test_what_couples_says_so():
    assert Admm().couples
    assert Admm(image_update="conjugate-gradient").couples
    assert Admm(image_update="closed-form", residual_balancing=3).couples


@pytest.mark.parametrize("penalty", [1e-2, 1e2])
def test_residual_balancing_makes_up_for_a_poor_penalty(penalty):
    problem = _with_variation()
    expected = solve(Admm(penalty=3.0), problem, Stop(500)).x
    errors = [
        float((solve(Admm(penalty=penalty, residual_balancing=n), problem, Stop(60)).x - expected).norm())
        for n in (0, 40)
    ]
    assert errors[1] < 0.1 * errors[0]


def test_a_balanced_penalty_is_each_element_s_own_and_fixed_in_the_end():
    problem = _with_variation()
    ys = torch.stack([problem.y, 1e-3 * problem.y, 0 * problem.y])
    together = Problem(ys, problem.operator, priors=problem.priors)
    growths = []
    solver = Admm(penalty=0.01, residual_balancing=10)
    found = solve(solver, together, Stop(14), observers=[lambda p, s: growths.append(s.growth.clone())])
    assert len(set(found.growth.tolist())) > 1
    assert torch.equal(growths[9], growths[13])
    assert not torch.equal(growths[9], growths[5])
    for y, x, growth in zip(ys, found.x, found.growth, strict=True):
        alone = solve(solver, Problem(y, problem.operator, priors=problem.priors), Stop(14))
        torch.testing.assert_close(x, alone.x, rtol=0, atol=1e-12)
        assert float(alone.growth) == float(growth)
    assert not found.x[2].any()


def test_balancing_does_not_depend_on_units():
    problem = _with_variation()
    scaled = Problem(10 * problem.y, Weighted(10 * problem.operator.gain), priors=_with_variation(weight=30.0).priors)
    solver = Admm(penalty=0.01, residual_balancing=10)
    states = [solve(solver, one, Stop(12)) for one in (problem, scaled)]
    assert float(states[0].growth) == float(states[1].growth) > 1
    torch.testing.assert_close(states[0].x, states[1].x, rtol=0, atol=1e-12)


def test_multipliers_are_rescaled_with_the_penalty():
    """ρu is a subgradient of λ Σ|·| at z, whatever ρ is: no longer than λ before and after a change."""
    problem = _with_variation()
    differences = problem.priors[0].differences
    rho0 = 0.01 * problem.operator.norm().value ** 2 / differences.norm().value ** 2
    lengths = []

    def note(problem, state):
        pull = rho0 * float(state.growth) * state.multipliers[0]
        lengths.append(float(pull.abs().square().sum(0).sqrt().max()))

    solve(Admm(penalty=0.01, residual_balancing=20), problem, Stop(20), observers=[note])
    assert max(lengths) == pytest.approx(0.3, rel=1e-12)


def test_from_the_solution_it_stays_near_and_from_elsewhere_it_arrives(agreement):
    problem = two_plateaus(0.3)
    x0 = problem.domain.randn(torch.Generator().manual_seed(4))
    error = largest_error(solve(Admm(), problem, Stop(600), x0=x0).x, problem.solution)
    agreement(
        "prior.total-variation by solver.admm",
        "two plateaus in closed form",
        error,
        1e-8,
        "what 600 iterations at a linear rate leave",
    )


def test_an_element_without_data_stays_zero():
    problem = with_prior(with_empty_element(), L1Norm(0.1))
    for solver in (Admm(), Admm(image_update="conjugate-gradient", residual_balancing=3, tolerance=1e-6)):
        x = solve(solver, problem, Stop(9)).x
        assert bool(x[0].any())
        assert not x[1].any()


def test_without_a_prior_it_is_least_squares(agreement):
    problem = next(iter(problems()))
    expected = (torch.linalg.pinv(problem.operator.matrix) @ problem.y).reshape(IMAGE.shape)
    for solver in (Admm(), Admm(residual_balancing=5)):
        error = largest_error(solve(solver, problem, Stop(20)).x, expected)
        reason = "rounding, times a condition of 9 of the normal equations"
        agreement("solver.admm", "torch's pseudo-inverse of the dense matrix", error, 1e-12, reason)


class Hasty(Admm):
    """Leaves it to the loop, which looks at the image alone."""

    def step(self, problem, state):
        return replace(super().step(problem, state), change=None)


def test_it_does_not_stop_while_the_image_rests_and_multipliers_move():
    *_, problem = of_several_terms()
    patient = solve(Admm(penalty=0.05), problem, Stop(3000, tolerance=1e-9))
    assert patient.iteration < 3000
    torch.testing.assert_close(patient.x, problem.solution, rtol=0, atol=1e-7)
    hasty = solve(Hasty(penalty=0.05), problem, Stop(3000, tolerance=1e-9))
    assert float((hasty.x - problem.solution).abs().max()) > 0.1


def test_a_step_reuses_the_memory_of_its_state():
    problem = _with_variation()
    with torch.no_grad():
        state = Admm().start(problem)
        before = [tensor.data_ptr() for tensor in (state.x, state.multipliers[0], state.data)]
        state = Admm().step(problem, state)
    after = [tensor.data_ptr() for tensor in (state.x, state.multipliers[0], state.data)]
    assert after == before


def test_an_operator_that_returns_its_argument_is_safe():
    y = IMAGE.randn(torch.Generator().manual_seed(2))
    before = y.clone()
    for way in ("closed-form", "conjugate-gradient"):
        problem = Problem(y, Identity(IMAGE), priors=(L1Norm(0.5), Tikhonov(0.5)))
        x = solve(Admm(image_update=way), problem, Stop(500)).x
        torch.testing.assert_close(x, L1Norm(0.5 / 1.5).prox(before / 1.5, 1.0), rtol=0, atol=1e-12)
        assert torch.equal(y, before)


def test_a_closed_form_that_there_is_not_is_refused():
    closed = Admm(image_update="closed-form")
    assert closed.needs.operator == (LinearOperator, NormalSolvable)
    assert closed.needs.prior == (Proximable,)
    with pytest.raises(CapabilityError, match="is no Proximable"):
        solve(closed, _with_variation())
    with pytest.raises(CapabilityError, match="1 or more priors"):
        solve(closed, Problem(_data(), _operator()))
    together = hstack(image=_operator(), field=_operator())
    with pytest.raises(CapabilityError, match="is no NormalSolvable"):
        solve(closed, Problem(_data(), together, priors=(Tikhonov(1.0),)))
    both = Identity(together.domain)
    parts = Problem(together.domain.zeros(), both, priors=(Tikhonov(1.0),), on=("image",))
    with pytest.raises(RequestError, match=r"'closed-form' needs priors .* on all unknowns at once"):
        solve(closed, parts)
    assert solve(Admm(), parts, Stop(2)).iteration == 2


def test_settings_make_the_solver():
    solver = preimage_solver(Settings(max_iter=7, penalty=2.0, residual_balancing=3, inner_iterations=4))
    assert (solver.stop, solver.penalty, solver.residual_balancing) == (Stop(7), 2.0, 3)
    assert (solver.image_update, solver.inner_iterations) == ("auto", 4)
    assert preimage_memory(Settings(), None).per_image < preimage_memory(Settings(tolerance=1e-3), None).per_image
    for wrong in ({"penalty": 0}, {"inner_iterations": 0}, {"image_update": "fft"}, {"residual_balancing": -1}):
        with pytest.raises(ValidationError):
            Settings(**wrong)
