from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from preimage.errors import RequestError
from preimage.likelihoods import Gaussian
from preimage.operators import Identity, LinearOperator, Norm
from preimage.operators.restriction import Crop
from preimage.problem import Problem
from preimage.solving import Needs, Solver, State, Stop, solve
from preimage.solving.needs import Given
from preimage.space import Space
from preimage.testing import SolverLaws, bound
from preimage.testing.agreement import largest_error
from preimage.volumes.tasks.sharing import Share
from preimage_variational.examples import problems, two_plateaus, with_prior
from preimage_variational.priors.l1 import L1Norm
from preimage_variational.solvers import consensus, pdhg
from preimage_variational.solvers.admm import Admm
from preimage_variational.solvers.consensus import (
    Closeness,
    Consensus,
    Settings,
    preimage_memory,
    preimage_scalars,
    preimage_solver,
)
from preimage_variational.solvers.fista import Fista
from preimage_variational.solvers.pdhg import Pdhg


class TestLaws(SolverLaws):
    method = consensus


LINE = Space(("x",), (7,), torch.complex128)
LOOKED_AT = slice(0, 4), slice(3, 7)
"""The pixels at which two blocks of a line look; that at 3 is in the second."""
OWN = slice(0, 3), slice(0, 4)
"""Where the blocks lie in these."""


def in_two_blocks(solver, shares, rounds):
    """Rounds of two blocks that share the pixel 3, and what they found."""
    with torch.no_grad():
        states = [solver.start(share) for share in shares]
        for _ in range(rounds):
            total, copies = (torch.zeros(LINE.shape, dtype=dtype) for dtype in (LINE.dtype, torch.float64))
            for here, state in zip(LOOKED_AT, states, strict=True):
                total[here] += state.offer
                copies[here] += 1
            states = [
                solver.meet(share, state, (total / copies)[here], copies[here])
                for share, state, here in zip(shares, states, LOOKED_AT, strict=True)
            ]
    return states


def variation_in_two_blocks(whole):
    """The shares of denoising a line by total variation."""
    norm, differences = whole.priors[0].split()
    for here, own in zip(LOOKED_AT, OWN, strict=True):
        space = Space(LINE.dims, (4,), LINE.dtype)
        crop = Crop(space, {"x": own})
        linear = type(differences)(space, LINE.dims)
        anchored = Crop(linear.codomain, {"x": own}) @ linear
        y = whole.y[here][own]
        yield Problem(y, Identity(crop.codomain) @ crop, priors=(Share(norm, anchored),))


@pytest.mark.parametrize("solver", [Pdhg(10), Admm(3)], ids=["pdhg", "admm"])
def test_two_blocks_find_what_the_whole_is_denoised_to(solver, agreement):
    whole = two_plateaus(0.3)
    shares = list(variation_in_two_blocks(whole))
    apart = [solve(Pdhg(100), share).x[own] for share, own in zip(shares, OWN, strict=True)]
    assert largest_error(torch.cat(apart), whole.solution) > 0.05  # of blocks that do not meet
    states = in_two_blocks(Consensus(solver, rho=1.0), shares, 60)
    found = torch.cat([state.x[own] for state, own in zip(states, OWN, strict=True)])
    error, reason = (
        largest_error(found, whole.solution),
        "60 rounds that each leave 0.72 of the error, which is about 1",
    )
    agreement("solver.consensus", "total variation of a step in closed form, in two blocks", error, 1e-8, reason)


class Exact(Solver):
    """Solves ½‖Dx − y‖² + Σ ½ weight |x − centre|² in one step."""

    needs = Needs(priors=range(1, 3))
    stop = Stop(1)

    def start(self, problem, x0=None):
        return State(x=problem.zeros() if x0 is None else x0.clone())

    def step(self, problem, state):
        held = problem.priors[-1]
        curvature = problem.operator.diagonal**2 + held.weight
        x = (problem.operator.adjoint(problem.y) + held.weight * held.centre) / curvature
        return State(x=x, iteration=state.iteration + 1)


class Diagonal(LinearOperator):
    """Dx, with a real diagonal, which says to be of norm 1."""

    def __init__(self, space, diagonal):
        super().__init__(space, space)
        self.diagonal = diagonal

    def _apply(self, x):
        return self.diagonal * x

    _apply_adjoint = _apply

    def _bound(self):
        return Norm(1.0, "exact")


def test_it_is_the_paper_formula(agreement):
    """Boyd et al., (7.2): x_i ← argmin f_i(x) + ½ρ‖x − z + u_i‖², z ← the mean of x_i + u_i, u_i ← u_i + x_i − z."""
    space, rho = Space(LINE.dims, (4,), LINE.dtype), 0.7
    measured = torch.tensor([[1.0, 1, 1, 1], [2, 1, 1, 1]], dtype=torch.float64)  # of the pixel 3 by either
    ys = torch.randn(2, 4, dtype=LINE.dtype, generator=torch.Generator().manual_seed(0))
    shares = [Problem(y, Diagonal(space, d), priors=(Nothing(),)) for y, d in zip(ys, measured, strict=True)]
    ends = (3, 0)  # where the pixel 3 lies in each
    x, u = torch.zeros_like(ys), torch.zeros(2, dtype=LINE.dtype)
    z = sum(x[i, end] for i, end in enumerate(ends)) / 2
    for _ in range(4):
        for i, end in enumerate(ends):
            u[i] += x[i, end] - z
            x[i] = ys[i] / measured[i]
            x[i, end] = (measured[i, end] * ys[i, end] + rho * (z - u[i])) / (measured[i, end] ** 2 + rho)
        z = sum(x[i, end] + u[i] for i, end in enumerate(ends)) / 2
    states = in_two_blocks(Consensus(Exact(), rho=rho), shares, 4)
    found = torch.stack([state.x for state in states])
    agreement("solver.consensus", "the paper's iteration, pixel by pixel", largest_error(found, x), 1e-14, "rounding")


class Nothing:
    def value(self, x):
        return x.real.new_zeros(())

    def prox(self, x, step):
        return x


def test_copies_are_drawn_to_their_centre_as_the_prox_says():
    numbers = torch.Generator().manual_seed(1)
    x, centre = (torch.randn(5, dtype=LINE.dtype, generator=numbers) for _ in range(2))
    weight = torch.tensor([0, 0, 0.5, 2, 1e9], dtype=torch.float64)
    held = Closeness(centre, weight)
    z = held.prox(x, 0.3)
    torch.testing.assert_close(
        weight * (z - centre) + (z - x) / 0.3, torch.zeros_like(x), rtol=0, atol=1e-6
    )  # its slope
    assert torch.equal(z[:2], x[:2])
    assert float(held.value(x)) == pytest.approx(float((weight * (x - centre).abs() ** 2).sum()) / 2, rel=1e-14)
    before = x.clone()
    assert torch.equal(held.prox_(before, 0.3), z)


def test_it_goes_on_from_round_to_round_where_the_solver_of_a_block_was():
    """Without neighbours there is nothing to agree on: rounds are iterations of that solver."""
    given = with_prior(next(iter(problems())), L1Norm(0.1))
    held = Closeness(given.zeros(), torch.zeros(given.domain.shape, dtype=torch.float64))
    by_hand = solve(Pdhg(), replace(given, priors=(*given.priors, held), on=(None, None)), Stop(12))
    assert torch.equal(solve(Consensus(Pdhg(4)), given, Stop(3)).x, by_hand.x)


def test_a_tolerance_of_the_solver_ends_a_round_and_not_the_next():
    given = with_prior(next(iter(problems())), L1Norm(0.1))
    patient, hasty = Consensus(Pdhg(500)), Consensus(Pdhg(500, tolerance=1e-3))
    assert solve(patient, given, Stop(2)).inner.iteration == 1000
    first, second = (solve(hasty, given, Stop(n)).inner.iteration for n in (1, 2))
    assert 1 < first < 500
    assert first < second < 2 * first


@pytest.mark.parametrize(
    ("solver", "says"),
    [(Fista(), "it takes exactly 1 prior, there are 2"), (Admm(image_update="closed-form"), "is no NormalSolvable")],
)
def test_a_solver_that_cannot_solve_a_share_is_refused(solver, says):
    with pytest.raises(RequestError, match=f"{says}.*Take pdhg or admm"):
        Consensus(solver)


def test_the_solver_of_a_block_gets_one_prior_more():
    solver = Consensus(Pdhg())
    (key, (inner, given)), *others = solver.inside(Given(Identity, {1: L1Norm}, Gaussian, (), {1: None})).items()
    assert (key, inner, others) == (("solver",), solver.solver, [])
    assert given.priors == {1: L1Norm, 2: Closeness}
    assert given.unmet(inner.needs) == []
    assert given.unmet(Fista.needs) == ["it takes exactly 1 prior, there are 2"]


def test_several_unknowns_are_refused():
    Consensus(Pdhg()).check_unknowns((), (None,))
    with pytest.raises(RequestError, match="for one unknown, and there are image, field"):
        Consensus(Pdhg()).check_unknowns(("image", "field"), (None,))


def test_settings_make_the_solver():
    settings = Settings(solver=bound("solver", pdhg, max_iter=7), max_iter=9, tolerance=1e-3, rho=2.0)
    solver = preimage_solver(settings)
    assert (solver.stop, solver.rho, solver.solver.stop) == (Stop(9, 1e-3), 2.0, Stop(7))
    assert preimage_scalars(settings)["norm"].merge == "max"
    inner = pdhg.preimage_memory(pdhg.Settings(), None)
    assert preimage_memory(settings, None).per_image > inner.per_image
    with pytest.raises(ValidationError):
        Settings(solver=bound("solver", pdhg), rho=0)
