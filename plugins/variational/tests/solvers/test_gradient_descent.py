from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import optimize

from preimage.errors import CapabilityError, DataError, RequestError
from preimage.likelihoods import Gaussian
from preimage.movable import Movable
from preimage.operators import Identity, Operator, hstack
from preimage.problem import Problem
from preimage.solving import Stop, solve
from preimage.space import Space
from preimage.testing import SolverLaws
from preimage.testing.agreement import largest_error
from preimage_variational.examples import IMAGE, Dense, least_squares, problems, with_empty_element, with_prior
from preimage_variational.priors.l1 import L1Norm
from preimage_variational.priors.tikhonov import Tikhonov
from preimage_variational.solvers import gradient_descent
from preimage_variational.solvers.gradient_descent import GradientDescent, Settings, preimage_scalars, preimage_solver

FORMS = {
    "adaptive": GradientDescent(),
    "line-search": GradientDescent(rule="line-search"),
    "line-search, heavy ball": GradientDescent(rule="line-search", momentum="heavy-ball", inertia=0.5),
    "lipschitz": GradientDescent(rule="lipschitz"),
    "lipschitz, nesterov": GradientDescent(rule="lipschitz", momentum="nesterov"),
    "lipschitz, heavy ball": GradientDescent(rule="lipschitz", momentum="heavy-ball", inertia=0.5),
    "fixed": GradientDescent(0.4, rule="fixed"),
}
SEARCHES = {"line-search", "line-search, heavy ball"}
VARYING = {"adaptive", *SEARCHES}
SEARCHED = 1e-7, "a search compares values, of which a change by δ² is lost below ε: it sees δ = √ε at the best"
CONVERGED = 1e-12, "curvatures are above 0.3: gradients converge to rounding"


class TestLaws(SolverLaws):
    method = gradient_descent


@dataclass(frozen=True)
class Logistic(Movable):
    """−log of the probability of labels y ∈ {0, 1} with the log odds u."""

    def value(self, u, y):
        return (torch.nn.functional.softplus(u) - y * u).sum()

    def grad(self, u, y):
        return torch.sigmoid(u) - y


@dataclass(frozen=True)
class Counts(Movable):
    """−log of the probability of counts y with the expected values e^u."""

    def value(self, u, y):
        return (u.exp() - y * u).sum()

    def grad(self, u, y):
        return u.exp() - y


class Cubed(Operator):
    """x + x³, a nonlinear operator that is not."""

    def _apply(self, x):
        return x + x**3

    def initial(self, y, seed=0):
        return 0.5 * y


def _regression(seed=0, scale=1.0):
    """A real problem of 40 data and 5 unknowns."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(40, 5, dtype=torch.float64, generator=generator)
    truth = torch.randn(5, dtype=torch.float64, generator=generator)
    domain = Space(("z", "y", "x"), (5, 1, 1), torch.float64)
    y = matrix @ truth + torch.randn(40, dtype=torch.float64, generator=generator)
    return Problem(scale * y, Dense(scale * matrix, domain))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("problem", list(problems()), ids=["tall", "wide", "rank 3"])
def test_a_quadratic_problem_ends_at_the_solution_of_its_linear_system(form, problem, agreement):
    expected = least_squares(problem, 0.3).reshape(IMAGE.shape)
    x = solve(FORMS[form], with_prior(problem, Tikhonov(0.3)), Stop(5000, tolerance=1e-15)).x
    error, allowed = largest_error(x, expected), SEARCHED if form in SEARCHES else CONVERGED
    agreement("solver.gradient-descent", "torch's pseudo-inverse of dense equations", error, *allowed)


@pytest.mark.parametrize("form", ["adaptive", "line-search", "line-search, heavy ball"])
@pytest.mark.parametrize(("likelihood", "labels"), [(Logistic(), lambda y: (y > 0).double()), (Counts(), torch.relu)])
def test_a_smooth_problem_ends_where_scipys_does(form, likelihood, labels, agreement):
    problem = _regression()
    y, weight = labels(problem.y).round(), 0.5
    problem = replace(problem, y=y, likelihood=likelihood, priors=(Tikhonov(weight),), on=(None,))
    matrix = problem.operator.matrix.numpy()

    def slope(x):
        return matrix.T @ likelihood.grad(torch.from_numpy(matrix @ x), y).numpy() + weight * x

    expected = optimize.root(slope, np.zeros(5), tol=1e-13).x
    x = solve(FORMS[form], problem, Stop(20_000, tolerance=1e-14)).x
    error, allowed = largest_error(x.flatten(), expected), SEARCHED if form in SEARCHES else CONVERGED
    agreement("solver.gradient-descent", "SciPy's root of the slope", error, *allowed)
    least = float(likelihood.value(torch.from_numpy(matrix @ expected), y)) + 0.5 * weight * expected @ expected
    assert float(problem.objective(x)) == pytest.approx(least, rel=1e-12)


@pytest.mark.parametrize("form", ["adaptive", "line-search", "fixed"])
def test_a_nonlinear_operator_is_inverted_from_its_initial_estimate(form, agreement):
    space = Space(("x",), (5,), torch.float64)
    truth = torch.linspace(-0.8, 0.8, 5, dtype=torch.float64)
    operator = Cubed(space, space)
    solver = FORMS[form] if form != "fixed" else GradientDescent(0.05, rule="fixed")
    x = solve(solver, Problem(operator(truth), operator), Stop(3000, tolerance=1e-14)).x
    reason = "√ε, of a search that compares values"
    agreement("solver.gradient-descent", "the truth of x + x³", largest_error(x, truth), 1e-7, reason)


def test_fixed_steps_and_both_momenta_are_the_papers_formulas(agreement):
    problem = _regression()
    matrix, y = problem.operator.matrix, problem.y
    size = 0.9 / (float(torch.linalg.matrix_norm(matrix, 2)) ** 2 + 0.2)

    def slope(x):
        return matrix.mT @ (matrix @ x - y) + 0.2 * x

    plain, polyak, nesterov = (torch.zeros(2, 5, dtype=torch.float64) for _ in range(3))  # x_k and x_{k−1}
    for k in range(9):
        plain = torch.stack([plain[0] - size * slope(plain[0]), plain[0]])
        moved = polyak[0] - size * slope(polyak[0]) + 0.7 * (polyak[0] - polyak[1])
        polyak = torch.stack([moved, polyak[0]])
        ahead = nesterov[0] + max(k - 1, 0) / (k + 2) * (nesterov[0] - nesterov[1])
        nesterov = torch.stack([ahead - size * slope(ahead), nesterov[0]])
    regularised = replace(problem, priors=(Tikhonov(0.05), Tikhonov(0.15)), on=(None, None))
    for (rule, step), (momentum, expected) in zip(
        (("fixed", size), ("lipschitz", 0.9), ("fixed", size)),
        (("none", plain), ("heavy-ball", polyak), ("nesterov", nesterov)),
        strict=True,
    ):
        found = solve(GradientDescent(step, rule, momentum, inertia=0.7), regularised, Stop(9)).x
        error = largest_error(found.flatten() / expected[0], torch.ones(5))
        reason = "relative: rounding of nine steps"
        agreement("solver.gradient-descent", "the papers' iterations with a dense matrix", error, 1e-12, reason)


def test_the_adaptive_rule_is_the_papers_formula(agreement):
    """Malitsky & Mishchenko 2020, algorithm 1; the first length is the best for a quadratic function."""
    problem = _regression()
    matrix, y = problem.operator.matrix, problem.y

    def slope(x):
        return matrix.mT @ (matrix @ x - y)

    x = torch.zeros(5, dtype=torch.float64)
    length = float(slope(x).norm() ** 2 / (matrix @ slope(x)).norm() ** 2)
    theta = math.inf
    before, x = x, x - length * slope(x)
    for _ in range(12):
        change = float((x - before).norm() / (slope(x) - slope(before)).norm())
        longer = min(math.sqrt(1 + theta) * length, change / 2)
        theta, length = longer / length, longer
        before, x = x, x - length * slope(x)
    error = largest_error(solve(GradientDescent(), problem, Stop(13)).x.flatten() / x, torch.ones(5))
    reason = "relative: thirteen steps, whose lengths are quotients of differences that round"
    agreement("solver.gradient-descent", "the adaptive rule of the paper with a dense matrix", error, 1e-10, reason)


@pytest.mark.parametrize("form", ["adaptive", "line-search", "lipschitz, nesterov"])
@pytest.mark.parametrize("scale", [1e-6, 1e7])
def test_a_step_of_one_works_in_any_units(form, scale):
    """The same problem in other units, c·A and c·y, takes the same iterates, and one of c·y takes c times them.

    Compared after eight steps, before rounding decides whether a search finds an objective lower.
    """
    first, other = _regression(), _regression(scale=scale)
    x = [solve(FORMS[form], problem, Stop(8)).x for problem in (first, other)]
    torch.testing.assert_close(*x, rtol=1e-11, atol=0)
    faint = solve(FORMS[form], replace(first, y=scale * first.y), Stop(8)).x
    torch.testing.assert_close(faint, scale * x[0], rtol=1e-11, atol=0)


def test_a_line_search_always_goes_down_whatever_its_first_trial():
    problem = with_prior(next(iter(problems())), Tikhonov(0.3))
    least = float(problem.objective(solve(FORMS["adaptive"], problem, Stop(500)).x))
    for step in (1e-6, 1.0, 1e6):
        objectives = [float(problem.objective(problem.zeros()))]
        solver = GradientDescent(step, rule="line-search")
        solve(solver, problem, Stop(40), observers=[lambda p, s: objectives.append(float(p.objective(s.x)))])  # noqa: B023
        assert all(after <= before for before, after in pairwise(objectives))
        assert objectives[-1] - least < 1e-6 * (objectives[0] - least)  # too short a length doubles with every step
    too_long = solve(GradientDescent(1e6, rule="fixed"), problem, Stop(3)).x
    assert float(problem.objective(too_long)) > objectives[0]  # which a length alone does not see to


def test_a_prior_that_is_steeper_than_the_data_term_is_no_trouble():
    problem = next(iter(problems()))
    expected = least_squares(problem, 1e4).reshape(IMAGE.shape)
    for form in ("adaptive", "line-search", "lipschitz", "lipschitz, nesterov", "lipschitz, heavy ball"):
        x = solve(FORMS[form], with_prior(problem, Tikhonov(1e4)), Stop(300)).x
        torch.testing.assert_close(x, expected, rtol=0, atol=1e-6 * float(expected.norm()))


def test_what_priors_say_of_their_gradients_counts_for_the_unknown_that_they_are_for():
    """1/L with L = ‖A‖² + the most of what is on one unknown, together with what is on all."""
    problem = _two_unknowns()
    both = replace(problem, priors=(*problem.priors, Tikhonov(7.0)), on=(*problem.on, None))
    steepest = problem.operator.norm().safe ** 2 + 3e3 + 7.0
    start = problem.domain.randn(torch.Generator().manual_seed(0))
    found = solve(FORMS["lipschitz"], both, Stop(1), x0=start).x
    expected = start - both.gradient(start) * (1 / steepest)
    for name in problem.domain:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-12, atol=1e-14)


@dataclass(frozen=True)
class Barrier(Movable):
    """Σ u − y log u: counts, of which there is no fewer than none."""

    barrier = True

    def value(self, u, y):
        return torch.where(u > 0, u - y * u.log(), torch.inf).sum()

    def grad(self, u, y):
        return 1 - y / u.clamp_min(1e-12)


def _watched(solver, problem, stop, **start):
    objectives = []
    x = solve(solver, problem, stop, observers=[lambda p, s: objectives.append(float(p.objective(s.x).sum()))], **start)
    return x.x, objectives


@pytest.mark.parametrize(
    "solver",
    [
        GradientDescent(),
        GradientDescent(rule="line-search"),
        GradientDescent(rule="line-search", momentum="nesterov"),
        GradientDescent(rule="line-search", momentum="heavy-ball"),
        GradientDescent(2.0, rule="fixed"),
        GradientDescent(2.0, rule="fixed", momentum="heavy-ball", inertia=0.7),
        GradientDescent(1.0, rule="fixed", momentum="nesterov"),
    ],
    ids=lambda solver: f"{solver.rule}, {solver.momentum}",
)
def test_no_step_leads_to_where_the_likelihood_is_infinite(solver, agreement):
    """The minimum is x = y. From 1000, where the objective is nearly flat, quadratic models point below 0.

    Curvatures 1/y are at most 2/3: fixed steps below 3 converge, and with Nesterov's momentum below 2.
    """
    space = Space(("x",), (5,), torch.float64)
    y = torch.tensor([1.5, 2.0, 4.0, 5.0, 9.0], dtype=torch.float64)
    problem = Problem(y, Identity(space), Barrier())
    x, objectives = _watched(
        solver, problem, Stop(1500), x0=torch.tensor([1e3, 2.0, 1.0, 50.0, 3.0], dtype=space.dtype)
    )
    assert all(map(math.isfinite, objectives))
    reason = "√ε of the values of a search, which sees no smaller changes"
    agreement(
        "solver.gradient-descent",
        "the counts themselves, which explain themselves best",
        largest_error(x, y),
        1e-6,
        reason,
    )


@pytest.mark.parametrize("momentum", ["none", "heavy-ball"])
def test_blocks_take_the_same_fixed_steps_unless_one_meets_a_barrier(momentum):
    """Steps of 10 lead the last two of four numbers below 0, and are halved for all four."""
    y = torch.tensor([45.0, 50.0, 1.0, 1.0], dtype=torch.float64)
    start = torch.tensor([40.0, 60.0, 5.0, 5.0], dtype=torch.float64)
    solver = GradientDescent(10.0, rule="fixed", momentum=momentum)

    def found(likelihood, n):
        problem = Problem(y[:n], Identity(Space(("x",), (n,), torch.float64)), likelihood)
        return solve(solver, problem, Stop(3), x0=start[:n]).x

    assert torch.equal(found(Gaussian(), 4)[:2], found(Gaussian(), 2))
    assert not torch.equal(found(Barrier(), 4)[:2], found(Barrier(), 2))
    assert solver.couples


def test_a_start_where_the_likelihood_is_infinite_is_refused():
    space = Space(("x",), (2,), torch.float64)
    problem = Problem(torch.ones(3, 2, dtype=torch.float64), Identity(space), Barrier())
    start = torch.tensor([[1.0, 1.0], [1.0, -1.0], [2.0, 1.0]], dtype=torch.float64)
    with pytest.raises(DataError, match="the likelihood Barrier is infinite. See whether a setting of the likelihood"):
        solve(GradientDescent(), problem, x0=start)
    assert bool(solve(GradientDescent(), problem, Stop(3), x0=start.abs()).x.isfinite().all())


def test_a_search_that_finds_nothing_lower_takes_no_step():
    class Misled(Counts):
        """Whose gradient points the wrong way."""

        def grad(self, u, y):
            return y - u.exp()

    problem = replace(_regression(), likelihood=Misled())
    for momentum in ("none", "nesterov", "heavy-ball"):
        start = 0.1 * problem.domain.randn(torch.Generator().manual_seed(0))
        x = solve(GradientDescent(rule="line-search", momentum=momentum), problem, Stop(1), x0=start).x
        assert torch.equal(x, start)


def test_elements_of_a_batch_take_steps_of_their_own():
    """Two problems of different curvature, of which each goes as if it were alone."""
    space = Space(("x",), (4,), torch.float64)
    y = space.randn(torch.Generator().manual_seed(0), batch=(2,))
    y[1] *= 30
    operator = Cubed(space, space)
    for form in VARYING:
        together = solve(FORMS[form], Problem(y, operator), Stop(12))
        for i in range(2):
            alone = solve(FORMS[form], Problem(y[i], operator), Stop(12))
            torch.testing.assert_close(together.x[i], alone.x, rtol=1e-9, atol=0)
            assert float(together.length[i]) == pytest.approx(float(alone.length), rel=1e-9)
        assert float(together.length[0]) > 2 * float(together.length[1])


@pytest.mark.parametrize("form", FORMS)
def test_an_element_without_data_stays_zero(form):
    problem = with_prior(with_empty_element(), Tikhonov(0.1))
    x = solve(FORMS[form], problem, Stop(5)).x
    assert bool(x[0].any())
    assert not x[1].any()
    assert bool(torch.isfinite(torch.view_as_real(x)).all())


def _two_unknowns():
    """One is measured in units a hundred times as large: its curvature is 10⁴ times as high."""
    tall, *_ = problems()
    problem = replace(tall, operator=hstack(image=tall.operator, field=100 * tall.operator))
    return replace(problem, priors=(Tikhonov(0.3), Tikhonov(3e3)), on=("image", "field"))


def test_every_unknown_may_have_a_step_of_its_own():
    problem = _two_unknowns()
    start = problem.domain.randn(torch.Generator().manual_seed(0))
    steps = {"image": 0.1, "field": 2e-5}
    found = solve(GradientDescent(steps, rule="fixed"), problem, Stop(1), x0=start).x
    slope = problem.data_gradient(start)
    for name, weight in (("image", 0.3), ("field", 3e3)):
        expected = start[name] - steps[name] * (slope[name] + weight * start[name])
        torch.testing.assert_close(found[name], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("form", ["adaptive", "line-search"])
def test_steps_in_the_units_of_each_unknown_make_up_for_them(form):
    """x and 100·x are measured alike, and so are the priors: with steps of 1 : 10⁻⁴ it is one problem, well scaled."""
    problem = _two_unknowns()
    scaled = solve(GradientDescent({"image": 1.0, "field": 1e-4}, rule=form), problem, Stop(150)).x
    torch.testing.assert_close(100 * scaled["field"], scaled["image"], rtol=1e-6, atol=1e-8)
    matrix = problem.operator.operators["image"].matrix
    damped = 2 * matrix.mH @ matrix + 0.3 * torch.eye(6, dtype=matrix.dtype)  # both together, with 0.3 on each
    expected = torch.linalg.solve(damped, matrix.mH @ problem.y).reshape(IMAGE.shape)
    torch.testing.assert_close(scaled["image"], expected, rtol=0, atol=1e-6)
    plain = solve(GradientDescent(rule=form), problem, Stop(150)).x
    assert float((plain["image"] - expected).norm() / expected.norm()) > 0.1


def test_steps_for_unknowns_that_are_not_there_are_refused():
    with pytest.raises(RequestError, match="steps for image, kernel: the unknowns are image, field"):
        solve(GradientDescent({"image": 1.0, "kernel": 0.1}), _two_unknowns())
    with pytest.raises(RequestError, match="steps for image: there is one unknown, without a name"):
        solve(GradientDescent({"image": 1.0}), _regression())


def test_what_a_rule_needs_is_asked_for():
    space = Space(("x",), (3,), torch.float64)
    nonlinear = Problem(space.zeros(), Cubed(space, space))
    with pytest.raises(CapabilityError, match=r"the operator \(Cubed\) is no LinearOperator"):
        solve(GradientDescent(rule="lipschitz"), nonlinear)
    with pytest.raises(CapabilityError, match=r"the likelihood \(Counts\) is no Gaussian"):
        solve(GradientDescent(rule="lipschitz"), replace(_regression(), likelihood=Counts()))
    with pytest.raises(CapabilityError, match=r"prior 1 \(L1Norm\) is no Differentiable"):
        solve(GradientDescent(), replace(nonlinear, priors=(L1Norm(1.0),), on=(None,)))

    class Slope:
        """A gradient that is learnt, say: of no function that is known."""

        def grad(self, x):
            return 0 * x

    learnt = replace(nonlinear, priors=(Slope(),), on=(None,))
    solve(GradientDescent(), learnt, Stop(2))
    with pytest.raises(CapabilityError, match=r"prior 1 \(Slope\) is no Valued"):
        solve(GradientDescent(rule="line-search"), learnt)
    with pytest.raises(CapabilityError, match=r"prior 1 \(Slope\) is no LipschitzGradient"):
        solve(GradientDescent(rule="lipschitz"), replace(_regression(), priors=(Slope(),), on=(None,)))
    solver, problem = GradientDescent(rule="lipschitz"), replace(_regression(), priors=(Slope(),), on=(None,))
    with pytest.raises(CapabilityError, match="the prior Slope does not say how steep .* take another rule"):
        solver.step(problem, solver.start(problem))  # by hand


def test_steps_and_the_gradient_of_a_prior_can_be_trained():
    """Four unrolled steps: their derivatives by the length and by the prior's weight, against differences."""
    problem = next(iter(problems()))

    def reached(step, weight):
        class Learnt:
            def grad(self, x):
                return weight * torch.tanh(x.abs()) * x

        solver = GradientDescent(step, rule="fixed", momentum="heavy-ball", inertia=0.3)
        unrolled = replace(problem, priors=(Learnt(),), on=(None,))
        state = solver.start(unrolled)
        for _ in range(4):
            state = solver.step(unrolled, state)
        return state.x.abs().square().sum()

    parameters = torch.tensor([0.3, 0.7], dtype=torch.float64, requires_grad=True)
    # Central differences of 1e-6, accurate to some 1e-9: gradcheck's own tolerances.
    assert torch.autograd.gradcheck(lambda p: reached(p[0], p[1]), parameters, atol=1e-6, rtol=1e-6)
    (slope,) = torch.autograd.grad(reached(*parameters), parameters)
    assert bool(slope.all())


def test_the_norm_of_the_run_sets_the_step_of_one_rule_alone():
    problem = _regression()
    (scalar,) = preimage_scalars(Settings(rule="lipschitz")).values()
    assert scalar.merge == "max"
    assert scalar.partial(problem) == problem.operator.norm().value
    assert not preimage_scalars(Settings())
    cautious = replace(problem, scalars={"norm": 1e3})
    assert float(solve(FORMS["lipschitz"], cautious, Stop(3)).x.abs().max()) < 1e-3


def test_settings_make_the_solver():
    for form, solver in FORMS.items():
        assert solver.couples == (not form.startswith("lipschitz"))
    made = preimage_solver(Settings(rule="fixed", step={"image": 1.0}, momentum="nesterov", max_iter=7, tolerance=0.1))
    assert (made.rule, made.ratios, made.momentum) == ("fixed", {"image": 1.0}, "nesterov")
    assert made.stop == Stop(7, 0.1)
    with pytest.raises(ValidationError, match="set another rule"):
        Settings(momentum="heavy-ball")
    for step in (0.0, -1.0, math.inf, {"image": 0.0}):
        with pytest.raises(ValidationError):
            Settings(step=step)


@pytest.mark.parametrize("form", ["adaptive", "lipschitz, heavy ball"])
def test_a_step_reuses_the_memory_of_its_state(form):
    """Where there is a velocity, it and x change places."""
    problem = with_prior(next(iter(problems())), Tikhonov(0.1))
    with torch.no_grad():
        state = FORMS[form].start(problem)
        before = _memory(state)
        assert _memory(FORMS[form].step(problem, state)) == before


def _memory(state):
    return {part.data_ptr() for part in (state.x, state.velocity) if part is not None}


def test_data_that_the_operator_hands_back_are_not_written_over():
    y = IMAGE.randn(torch.Generator().manual_seed(0))
    before = y.clone()
    for solver in FORMS.values():
        found = solve(solver, Problem(y, Identity(IMAGE)), Stop(200)).x
        torch.testing.assert_close(found, before, rtol=0, atol=1e-7)
        assert torch.equal(y, before)
