from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from preimage.declarations import Memory
from preimage.errors import CapabilityError, RequestError
from preimage.likelihoods import Gaussian
from preimage.operators import LinearOperator, PseudoInvertible
from preimage.priors import Proximable
from preimage.solving import Stop, load_state, save_state, solve
from preimage.solving.needs import Given
from preimage.testing import SolverLaws, bound
from preimage.testing.agreement import largest_error
from preimage_variational.examples import Deviation, problems, with_prior
from preimage_variational.priors.l1 import L1Norm
from preimage_variational.priors.tikhonov import Tikhonov
from preimage_variational.solvers import conjugate_gradient, fista, minimum_norm, sequence
from preimage_variational.solvers.adjoint import Adjoint
from preimage_variational.solvers.conjugate_gradient import ConjugateGradient
from preimage_variational.solvers.fista import Fista
from preimage_variational.solvers.gradient_descent import GradientDescent
from preimage_variational.solvers.minimum_norm import MinimumNorm
from preimage_variational.solvers.pdhg import Pdhg
from preimage_variational.solvers.sequence import (
    Settings,
    SolverSequence,
    preimage_memory,
    preimage_scalars,
    preimage_solver,
)


class TestLaws(SolverLaws):
    method = sequence


def problem(batch=()):
    first = with_prior(next(iter(problems())), L1Norm(0.1))
    if not batch:
        return first
    factors = torch.linspace(1, 0.1, *batch, dtype=torch.float64)
    ys = first.y + factors[:, None] * torch.randn(
        *batch, *first.y.shape, dtype=first.y.dtype, generator=torch.Generator().manual_seed(1)
    )
    return replace(first, y=ys)


def bare(of):
    return replace(of, priors=(), on=())


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
def test_it_is_running_them_by_hand_bit_for_bit(batch, tolerance, agreement):
    """Also where elements of a batch arrive at different iterations, and solvers before their last."""
    given = problem(batch)
    solvers = Fista(40, tolerance, accelerated=False), Fista(60, tolerance, restart=True), Pdhg(30, tolerance)
    x, iterations = None, 0
    for solver in solvers:
        state = solve(solver, given, x0=x)
        x, iterations = state.x, iterations + state.iteration
    found = solve(SolverSequence(solvers), given)
    assert torch.equal(found.x, x)
    agreement("solver.sequence", "its solvers, run one by one", largest_error(found.x, x), 0, "the same operations")
    assert found.iteration == iterations
    assert (iterations < 40 + 60 + 30) == (tolerance > 0)


@pytest.mark.parametrize("start", [Adjoint(), MinimumNorm(), ConjugateGradient(max_iter=3)])
def test_a_solver_that_takes_no_prior_makes_the_start(start):
    given = problem()
    by_hand = solve(Fista(5), given, x0=solve(start, bare(given)).x).x
    found = solve(SolverSequence([start, Fista(5)]), given)
    assert torch.equal(found.x, by_hand)
    assert found.iteration == start.stop.max_iter + 5
    cold = solve(Fista(5), given).x
    assert float((cold - by_hand).norm()) > 1e-3


def test_two_solvers_of_least_squares_end_at_its_dense_solution(agreement):
    """Three steps of the first are not enough for six unknowns, those of the second are, from where the first ended."""
    given = bare(problem())
    expected, *_ = np.linalg.lstsq(given.operator.matrix.numpy(), given.y.numpy())
    solvers = ConjugateGradient(max_iter=3), ConjugateGradient(max_iter=12)
    assert largest_error(solve(solvers[0], given).x.flatten(), expected) > 1e-3
    error = largest_error(solve(SolverSequence(solvers), given).x.flatten(), expected)
    agreement("solver.sequence", "NumPy's lstsq", error, 1e-13, "rounding, times a condition of 9")


@pytest.mark.parametrize("n", range(1, 10))
def test_a_run_goes_on_exactly_whoever_is_at_work(n, tmp_path):
    given, solver = problem((2,)), SolverSequence([ConjugateGradient(max_iter=3), Fista(4), Pdhg(3)])
    whole = solve(solver, given)
    save_state(solve(solver, given, Stop(n)), tmp_path / "state")
    state = load_state(solver.start(given), tmp_path / "state")
    assert state.iteration == n
    assert torch.equal(solve(solver, given, state=state).x, whole.x)


def test_only_the_solver_at_work_holds_memory():
    given, solver = problem(), SolverSequence([Fista(3), ConjugateGradient(max_iter=2), Fista(2)])
    seen = []

    def held(_, state):
        sizes = [
            sum(t.untyped_storage().nbytes() for t in vars(inner).values() if isinstance(t, torch.Tensor) and t.ndim)
            for inner in state.inner
        ]
        seen.append([size > given.domain.nbytes for size in sizes])

    solve(solver, given, observers=[held])
    assert seen == [[True, False, False]] * 3 + [[False, True, False]] * 2 + [[False, False, True]] * 2


def test_when_all_are_done_nothing_moves_any_more():
    given, solver = problem(), SolverSequence([Fista(2), Fista(3)])
    once = solve(solver, given)
    assert once.iteration == solver.stop.max_iter == 5
    assert torch.equal(solve(solver, given, Stop(9)).x, once.x)
    assert torch.equal(solve(solver, given, Stop(9, tolerance=1e-30)).x, once.x)


def test_the_objective_is_the_last_ones():
    given = bare(problem())
    solver = SolverSequence([ConjugateGradient(max_iter=2), ConjugateGradient(0.7, max_iter=2)])
    x = solve(solver, given).x
    assert solver.objective(given, x) == solver.solvers[1].objective(given, x)
    assert solver.objective(given, x) > given.objective(x)


def test_needs_are_those_of_all():
    needs = SolverSequence([MinimumNorm(), Fista()]).needs
    assert needs.operator == (LinearOperator, PseudoInvertible)
    assert needs.prior == (Proximable,)
    assert needs.priors == range(1, 2)
    assert needs.likelihood == (Gaussian,)
    assert not SolverSequence([MinimumNorm()]).couples
    assert SolverSequence([MinimumNorm(), ConjugateGradient()]).couples
    given = problem()
    with pytest.raises(CapabilityError, match="takes exactly 1 prior, there is none"):
        solve(SolverSequence([Adjoint(), Fista()]), bare(given))
    with pytest.raises(CapabilityError, match=r"the likelihood \(Deviation\) is no Gaussian"):
        solve(SolverSequence([Pdhg(), Fista()]), replace(given, likelihood=Deviation()))


def test_priors_are_for_those_that_take_some():
    given = Given(LinearOperator, {2: L1Norm}, Gaussian, (), {2: None})
    inside = SolverSequence([MinimumNorm(), Fista()]).inside(given)
    assert [(key, of.priors) for key, (_, of) in inside.items()] == [
        (("solvers", 0), {}),
        (("solvers", 1), {2: L1Norm}),
    ]


def test_what_cannot_follow_each_other_is_said():
    with pytest.raises(RequestError, match="ConjugateGradient takes no prior, and would undo"):
        SolverSequence([Fista(), ConjugateGradient()])

    class OfTwo(GradientDescent):
        def __init__(self):
            super().__init__()
            self.needs = replace(self.needs, priors=range(2, 3))

    with pytest.raises(RequestError, match="no number of priors that suits all of Fista, OfTwo"):
        SolverSequence([Fista(), OfTwo()])


def test_settings_make_the_solver():
    parts = [bound("solver", minimum_norm), bound("solver", fista, max_iter=7, tolerance=1e-3)]
    settings = Settings(solvers=parts)
    solver = preimage_solver(settings)
    assert [type(one) for one in solver.solvers] == [MinimumNorm, Fista]
    assert solver.stop == Stop(1 + 7)
    assert preimage_scalars(settings).keys() == {"norm"}
    assert preimage_memory(settings, None) == Memory(per_image=6)
    again = Settings(solvers=[bound("solver", conjugate_gradient)])
    assert preimage_scalars(again) == {}
    with pytest.raises(ValidationError, match="at least 1 item"):
        Settings(solvers=[])


def test_several_unknowns_are_passed_on():
    from preimage_variational.examples import two_unknowns

    given = replace(two_unknowns(), priors=(Tikhonov(0.5),), on=("image",))
    found = solve(SolverSequence([ConjugateGradient(max_iter=2), Fista(3)]), given).x
    by_hand = solve(Fista(3), given, x0=solve(ConjugateGradient(max_iter=2), bare(given)).x).x
    assert all(torch.equal(found[name], by_hand[name]) for name in by_hand)
