from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError

from preimage.declarations import Memory
from preimage.errors import CapabilityError, DataError, RequestError
from preimage.likelihoods import Gaussian
from preimage.operators import Identity, LinearOperator, Multilinear
from preimage.problem import Problem
from preimage.solving import Stop, load_state, save_state, solve
from preimage.solving.needs import Given
from preimage.space import Blocks
from preimage.testing import SolverLaws, bound
from preimage.testing.agreement import largest_error
from preimage_variational.examples import IMAGE, Deviation, Factors, two_factors
from preimage_variational.priors.l1 import L1Norm
from preimage_variational.priors.tikhonov import Tikhonov
from preimage_variational.solvers import alternate, conjugate_gradient, fista
from preimage_variational.solvers.alternate import Alternate, Settings, Turn, preimage_memory, preimage_solver
from preimage_variational.solvers.conjugate_gradient import ConjugateGradient
from preimage_variational.solvers.fista import Fista
from preimage_variational.solvers.gradient_descent import GradientDescent
from preimage_variational.solvers.sequence import SolverSequence


class TestLaws(SolverLaws):
    method = alternate


class Subspaces(Factors):
    """The subspace model of blind deconvolution, with a spectral start."""

    def initial(self, y, seed=0):
        """The leading singular vectors of Bᴴ diag(y) Ā, whose mean over Gaussian A is kernel · imageᵀ."""
        u, s, vh = torch.linalg.svd(self.of_kernel.mH @ (y[:, None] * self.of_image.conj()))
        return Blocks(kernel=u[:, 0] * s[0].sqrt(), image=vh[0] * s[0].sqrt())


def subspaces(seed, m=200, k=10, n=10):
    """Ahmed, Recht & Romberg 2014: B the first columns of the unitary DFT, A Gaussian, without noise."""
    generator = torch.Generator().manual_seed(seed)
    dft = torch.fft.fft(torch.eye(m, dtype=torch.complex128), norm="ortho")
    gaussian = torch.randn(m, n, dtype=torch.complex128, generator=generator)
    operator = Subspaces(dft[:, :k], gaussian)
    truth = operator.domain.randn(generator)
    return Problem(operator(truth), operator), truth


def rank_one_error(found, truth):
    """Of kernel · imageᵀ, which a factor that goes from one to the other leaves as it is."""
    outer = [torch.outer(x["kernel"], x["image"]) for x in (found, truth)]
    return float((outer[0] - outer[1]).norm() / outer[1].norm())


def exact():
    """Least squares in each turn, to rounding: ten unknowns, conjugate gradients of three times as many steps."""
    return {name: ConjugateGradient(max_iter=30) for name in ("image", "kernel")}


@pytest.mark.parametrize("seed", range(5))
def test_blind_deconvolution_in_subspaces_is_exact_without_noise(seed, agreement):
    problem, truth = subspaces(seed)
    found = solve(Alternate(exact(), max_iter=30), problem).x
    assert rank_one_error(problem.operator.initial(problem.y), truth) > 1e-2
    agreement(
        "solver.alternate",
        "the truth of blind deconvolution in subspaces, without noise",
        rank_one_error(found, truth),
        1e-6,
        "of kernel · imageᵀ: what recovery is asked to reach; thirty rounds converge linearly",
    )


def test_with_fewer_data_than_unknowns_it_is_not():
    problem, truth = subspaces(0, m=18)  # for 10 + 10 numbers, of which one is the common factor
    found = solve(Alternate(exact(), max_iter=30), problem).x
    assert rank_one_error(found, truth) > 1e-2


def test_a_round_is_a_turn_after_the_other(agreement):
    problem = two_factors()
    operator, start = problem.operator, problem.operator.initial(problem.y)
    found = solve(Alternate(exact(), max_iter=1), problem).x
    of_image = (start["kernel"] @ operator.of_kernel.mT)[:, None] * operator.of_image
    image = torch.linalg.lstsq(of_image, problem.y).solution
    of_kernel = (image @ operator.of_image.mT)[:, None] * operator.of_kernel
    kernel = torch.linalg.lstsq(of_kernel, problem.y).solution
    for one, expected in ((found["image"], image), (found["kernel"], kernel)):
        reason = "two systems of at most three unknowns, the second of what the first rounds to"
        agreement(
            "solver.alternate", "torch's lstsq, a turn after the other", largest_error(one, expected), 1e-11, reason
        )
    other_order = dict(reversed(exact().items()))
    assert float((solve(Alternate(other_order, max_iter=1), problem).x["image"] - image).norm()) > 1e-3


def test_a_prior_goes_to_the_turn_of_its_unknown():
    """Against proximal steps by hand, with the priors in the other order than the turns."""
    problem = replace(two_factors(), priors=(L1Norm(0.05), Tikhonov(0.3)), on=("kernel", "image"))
    turns = {"image": Fista(max_iter=4), "kernel": Fista(max_iter=3)}
    found = solve(Alternate(turns, max_iter=2), problem).x
    x = problem.operator.initial(problem.y)
    for _ in range(2):
        for name, other, prior in (("image", "kernel", Tikhonov(0.3)), ("kernel", "image", L1Norm(0.05))):
            part = Problem(problem.y, problem.operator.fix(**{other: x[other]}), priors=(prior,))
            x[name] = solve(turns[name], part, x0=x[name]).x
    for name in found:
        assert torch.equal(found[name], x[name])


def test_numbers_of_the_run_are_not_those_of_a_turn():
    problem = replace(two_factors(), priors=(Tikhonov(0.3), Tikhonov(0.3)), on=("kernel", "image"))
    turns = {"image": Fista(max_iter=4), "kernel": Fista(max_iter=3)}
    plain = solve(Alternate(turns, max_iter=2), problem).x
    with_norm = solve(Alternate(turns, max_iter=2), replace(problem, scalars={"norm": 1e3})).x
    assert torch.equal(plain["image"], with_norm["image"])


def test_the_objective_counts_priors_and_damping_and_falls_with_every_round():
    problem = replace(two_factors(), priors=(Tikhonov(0.3),), on=("image",))
    solver = Alternate({"image": Fista(max_iter=4), "kernel": ConjugateGradient(0.2, max_iter=2)}, max_iter=12)
    seen = []
    x = solve(solver, problem, observers=[lambda p, s: seen.append(float(solver.objective(p, s.x)))]).x
    assert all(after < before for before, after in pairwise(seen))
    misfit = problem.operator(x) - problem.y
    parts = [0.5 * w * v.abs().square().sum() for w, v in ((1, misfit), (0.3, x["image"]), (0.2, x["kernel"]))]
    assert seen[-1] == pytest.approx(float(sum(parts)), rel=1e-12)


def test_the_tolerance_is_of_a_round():
    problem, _ = subspaces(0)
    state = solve(Alternate(exact(), max_iter=100, tolerance=1e-9), problem)
    assert 2 < state.iteration < 60
    again = solve(Alternate(exact(), max_iter=1), problem, x0=state.x).x
    moved2 = sum(float((again[name] - state.x[name]).norm()) ** 2 for name in again)
    assert moved2**0.5 < 1e-9 * sum(float(again[name].norm()) ** 2 for name in again) ** 0.5


def test_random_numbers_of_a_turn_depend_on_the_round(tmp_path):
    """A solver that draws gets another seed in every turn, and the same one again after a resume."""

    class Jitter(ConjugateGradient):
        def start(self, problem, x0=None):
            return super().start(problem, x0 + 1e-3 * torch.randn(len(x0), generator=_numbers(problem)))

    def _numbers(problem):
        drawn.append(problem.seed)
        return torch.Generator().manual_seed(problem.seed)

    drawn: list[int] = []
    problem, solver = replace(two_factors(), seed=7), Alternate({"image": Jitter(max_iter=1), "kernel": Jitter()})
    whole = solve(solver, problem, Stop(4)).x
    assert len(set(drawn)) == len(drawn) == 2 * 4
    save_state(solve(solver, problem, Stop(2)), tmp_path / "state")
    resumed = solve(solver, problem, Stop(4), state=load_state(solver.start(problem), tmp_path / "state")).x
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize(
    ("turns", "priors", "on", "error", "message"),
    [
        (("image",), (), (), RequestError, "takes turns between image: the unknowns are kernel, image"),
        (("image", "kernel", "field"), (), (), RequestError, "between image, kernel, field: the unknowns are kernel"),
        (
            ("image", "kernel"),
            (Tikhonov(1),),
            ("imge",),
            DataError,
            "on 'imge': .*those of the operator are kernel, image",
        ),
        (
            ("image", "kernel"),
            (Tikhonov(1),),
            (None,),
            RequestError,
            "prior 1 is on all unknowns: .* one of image, kernel",
        ),
        (
            ("image", "kernel"),
            (Tikhonov(1),),
            ("kernel",),
            CapabilityError,
            "ConjugateGradient cannot solve for kernel: it takes no prior, there is 1",
        ),
    ],
)
def test_what_does_not_fit_is_said(turns, priors, on, error, message):
    solver = Alternate(dict.fromkeys(turns, ConjugateGradient()))
    with pytest.raises(error, match=message):
        solve(solver, replace(two_factors(), priors=priors, on=on))


def test_names_are_checked_before_there_are_data():
    check = Alternate(exact()).check_unknowns
    check(("kernel", "image"), ())
    with pytest.raises(RequestError, match="takes turns between image, kernel: the unknowns are kernel, picture"):
        check(("kernel", "picture"), ())
    with pytest.raises(RequestError, match="takes turns between image, kernel: there is one unknown, without a name"):
        check((), ())
    with pytest.raises(RequestError, match="prior 2 is on all unknowns"):
        check(("kernel", "image"), ("image", None))
    own_steps = Alternate({**exact(), "image": SolverSequence([GradientDescent({"kernel": 1.0})])})
    with pytest.raises(RequestError, match="has steps for kernel: there is one unknown, without a name"):
        own_steps.check_unknowns(("kernel", "image"), ())


def test_the_needs_are_known_before_there_are_data():
    problem, solver = two_factors(), Alternate(exact())
    assert solver.needs.likelihood == (Gaussian,)
    assert solver.needs.operator == (Multilinear,)
    with pytest.raises(CapabilityError, match=r"the operator \(Identity\) is no Multilinear"):
        solve(solver, Problem(IMAGE.zeros(), Identity(IMAGE)))
    with pytest.raises(CapabilityError, match=r"the likelihood \(Deviation\) is no Gaussian"):
        solve(solver, replace(problem, likelihood=Deviation()))
    assert Alternate({"image": GradientDescent()}).needs.likelihood == ()


def test_a_turn_gets_its_unknowns_operator_and_priors():
    priors, on = {1: L1Norm, 2: Tikhonov, 3: L1Norm}, {1: "image", 2: "kernel", 3: "image"}
    given = Given(Factors, priors, Gaussian, ("kernel", "image"), on)
    solvers = exact()
    inside = Alternate(solvers).inside(given)
    assert list(inside) == [("turns", 0, "solver"), ("turns", 1, "solver")]
    (image, of_image), (kernel, of_kernel) = inside.values()
    assert (image, kernel) == (solvers["image"], solvers["kernel"])
    assert (of_image.operator, of_image.unknowns) == (LinearOperator, ())
    assert (of_image.priors, of_kernel.priors) == ({1: L1Norm, 3: L1Norm}, {2: Tikhonov})
    assert of_image.unmet(image.needs) == ["it takes no prior, there are 2"]
    for wrong in ({"unknowns": ("kernel", "field")}, {"on": {**on, 2: None}}, {"on": {**on, 2: "field"}}):
        assert Alternate(solvers).inside(replace(given, **wrong)) == {}  # check_unknowns tells


def test_settings_make_the_solver():
    turns = [
        Turn(unknown="kernel", solver=bound("solver", conjugate_gradient, damping=0.3, max_iter=4)),
        Turn(unknown="image", solver=bound("solver", fista)),
    ]
    settings = Settings(turns=turns, max_iter=7, tolerance=1e-3)
    solver = preimage_solver(settings)
    assert list(solver.solvers) == ["kernel", "image"]
    assert solver.solvers["kernel"].damping == 0.3
    assert solver.stop == Stop(7, 1e-3)
    assert preimage_memory(settings, None) == Memory(per_image=2 + 4)
    with pytest.raises(ValidationError, match="kernel has several turns"):
        Settings(turns=[turns[0], turns[0]])
