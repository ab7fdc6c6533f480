"""Solvers that obey the laws, and for each law one that does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from preimage.declarations import Scalar
from preimage.likelihoods import Gaussian
from preimage.operators import LinearOperator, NormalSolvable, Operator, PseudoInvertible
from preimage.priors import Composite, Differentiable, Proximable
from preimage.problem import Problem
from preimage.randomness import Seed
from preimage.solving import Needs, Solver, State, Stop, initial_estimate, lipschitz
from preimage.space import owned_add, safe_divide
from preimage.testing.toys import Quadratic, Rows, Solved, Toy

from .fake import NoSettings, Wrong, method
from .priors import Sparsity

# --- right ------------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Ahead(State):
    ahead: Tensor


class Fista(Solver):
    """Beck & Teboulle, 2009."""

    needs = Needs((LinearOperator,), (Proximable,), range(1, 2), (Gaussian,))
    stop = Stop(50)

    def start(self, problem: Problem, x0: Any = None) -> Ahead:
        x = initial_estimate(problem, x0)
        return Ahead(x=x, ahead=x.clone())

    def step(self, problem: Problem, s: Ahead) -> Ahead:
        step = self.length(problem)
        x = problem.priors[0].prox(s.ahead - step * problem.data_gradient(s.ahead), step)
        momentum = s.iteration / (s.iteration + 3)
        return Ahead(x=x, ahead=x + momentum * (x - s.x), iteration=s.iteration + 1)

    def length(self, problem: Problem) -> float:
        return 1 / lipschitz(problem)


@dataclass(kw_only=True)
class Conjugate(State):
    residual: Tensor
    direction: Tensor
    norm2: Tensor


class ConjugateGradient(Solver):
    """½‖Ax − y‖² + ½ damping ‖x‖². Hestenes & Stiefel, 1952."""

    needs = Needs((LinearOperator,), likelihood=(Gaussian,))
    stop = Stop(30)
    couples = True
    damping = 0.01

    def start(self, problem: Problem, x0: Any = None) -> Conjugate:
        x = initial_estimate(problem, x0)
        residual = problem.operator.adjoint(problem.y) - self.hessian(problem, x)
        norm2 = problem.domain.squared_norm(residual)
        return Conjugate(x=x, residual=residual, direction=residual.clone(), norm2=norm2)

    def step(self, problem: Problem, s: Conjugate) -> Conjugate:
        curved = self.hessian(problem, s.direction)
        length = safe_divide(s.norm2, self.inner(problem, s.direction, curved))
        x = owned_add(s.x, s.direction, length)
        residual = owned_add(s.residual, curved, -length)
        norm2 = problem.domain.squared_norm(residual)
        direction = owned_add(residual.clone(), s.direction, safe_divide(norm2, s.norm2))
        return Conjugate(x=x, iteration=s.iteration + 1, residual=residual, direction=direction, norm2=norm2)

    def hessian(self, problem: Problem, x: Tensor) -> Tensor:
        return problem.operator.normal(x) + self.damping * x

    def inner(self, problem: Problem, u: Tensor, v: Tensor) -> Tensor:
        return problem.domain.inner(u, v).real

    def objective(self, problem: Problem, x: Any, predicted: Any = None) -> Tensor:
        norm2 = problem.domain.squared_norm(x).reshape(problem.batch)
        return problem.objective(x, predicted) + 0.5 * self.damping * norm2


@dataclass(kw_only=True)
class Split(State):
    other: Tensor
    dual: Tensor


class Admm(Solver):
    needs = Needs((NormalSolvable,), (Proximable,), range(1, 2), (Gaussian,))
    stop = Stop(50)

    def start(self, problem: Problem, x0: Any = None) -> Split:
        x = initial_estimate(problem, x0)
        return Split(x=x, other=x.clone(), dual=x * 0)

    def step(self, problem: Problem, s: Split) -> Split:
        weight = self.weight(problem)
        rhs = problem.operator.adjoint(problem.y) + weight * (s.other - s.dual)
        x = problem.operator.solve_normal(rhs, weight)
        other = problem.priors[0].prox(x + s.dual, 1 / weight)
        return Split(x=x, other=other, dual=s.dual + x - other, iteration=s.iteration + 1)

    def weight(self, problem: Problem) -> float:
        return 0.3 * lipschitz(problem)


class Relative(Fista):
    """A step from a number of the run that it asks for."""

    def length(self, problem: Problem) -> float:
        return 1 / problem.scalars["energy"]


class Descent(Solver):
    """A few steps of gradient descent on anything that can be differentiated."""

    needs = Needs((Operator,), (Differentiable,), range(101))
    stop = Stop(7)
    minimises = False

    def step(self, problem: Problem, s: State) -> State:
        slope = sum((prior.grad(s.x) for prior in problem.priors), problem.data_gradient(s.x))
        return State(x=s.x - 0.1 * slope, iteration=s.iteration + 1)


class MinimumNorm(Solver):
    needs = Needs((PseudoInvertible,), likelihood=(Gaussian,))
    stop = Stop(1)
    one_pass = True

    def step(self, problem: Problem, s: State) -> State:
        return State(x=problem.operator.pinv(problem.y), iteration=s.iteration + 1)


@dataclass(kw_only=True)
class Chain(State):
    seed: Seed


class Langevin(Solver):
    """A sampler."""

    needs = Needs((LinearOperator,), (Differentiable,), range(1, 2))
    stop = Stop(20)
    minimises = False

    def start(self, problem: Problem, x0: Any = None) -> Chain:
        return Chain(x=initial_estimate(problem, x0), seed=Seed(problem.seed))

    def step(self, problem: Problem, s: Chain) -> Chain:
        noise, seed = self.noise(problem, s)
        slope = problem.data_gradient(s.x) + problem.priors[0].grad(s.x)
        return Chain(x=s.x - 0.1 * slope + 0.4 * noise, seed=seed, iteration=s.iteration + 1)

    def noise(self, problem: Problem, s: Chain) -> tuple[Any, Seed]:
        noise, seed = s.seed.normal(problem.domain, problem.batch)
        return noise.to(problem.device), seed


def largest_energy(problem: Problem) -> float:
    return float(problem.operator.matrices.abs().square().sum((-2, -1)).max())


def pseudo_inverse_of_a_wide_matrix() -> Solved:
    matrix = torch.randn(1, 3, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    y = torch.ones(1, 3, dtype=torch.complex128)
    return Solved(y, Rows(matrix), solution=torch.linalg.pinv(matrix[0]) @ y[0] * torch.ones(1, 1))


def solver(make: Callable[[], Any], *problems: Problem, **names: Any) -> Callable[[Path], Any]:
    """A method that makes a solver."""

    def preimage_solver(settings: NoSettings) -> object:
        return make()

    return method("solver", preimage_solver, [(NoSettings(), problem) for problem in problems], **names)


def energy_of_the_run() -> dict[str, Scalar]:
    return {"energy": Scalar(largest_energy, "max")}


def lasso() -> Problem:
    """A problem that is not differentiable where it is least."""
    problem = Toy(torch.complex128).problem()
    return replace(problem, priors=(Sparsity(0.3),))


RIGHT = [
    solver(Fista, lasso()),
    solver(ConjugateGradient, Toy(n_priors=0).problem()),
    solver(Admm, lasso()),
    solver(Relative, lasso(), preimage_scalars=energy_of_the_run),
    solver(Descent, Toy(n_priors=0).problem()),
    solver(MinimumNorm, pseudo_inverse_of_a_wide_matrix()),
    solver(Langevin, Toy().problem()),
]

# --- wrong ------------------------------------------------------------------------------------------------------------


class HalfThePrior(Fista):
    def step(self, problem: Problem, s: Ahead) -> Ahead:
        prior = problem.priors[0]
        halved = type("Halved", (), {"prox": lambda self, x, step: prior.prox(x, step / 2)})()
        return super().step(replace(problem, priors=(halved,)), s)


class UncountedDamping(ConjugateGradient):
    damping = 0.3

    def objective(self, problem: Problem, x: Any, predicted: Any = None) -> Tensor:
        return problem.objective(x, predicted)


class AdjointForInverse(MinimumNorm):
    def step(self, problem: Problem, s: State) -> State:
        return State(x=problem.operator.adjoint(problem.y), iteration=s.iteration + 1)


class StepOfUnitNorm(Fista):
    def length(self, problem: Problem) -> float:
        return 1.0


class StepOfTheBlock(Fista):
    """Takes its step from the block's own norm, whatever that of the run is."""

    def length(self, problem: Problem) -> float:
        return 1 / problem.operator.norm().value ** 2


class CouplesInSilence(ConjugateGradient):
    couples = False


class ThresholdOfTheBlock(Fista):
    """A weight relative to the maximum of what it is given: blocks disagree, at convergence too."""

    couples = True

    def step(self, problem: Problem, s: Ahead) -> Ahead:
        largest = float(problem.operator.adjoint(problem.y).abs().max())
        return super().step(replace(problem, priors=(Quadratic(problem.domain, largest),)), s)

    def objective(self, problem: Problem, x: Any, predicted: Any = None) -> Tensor:
        return problem.objective(x, predicted)


class ResultInDouble(Fista):
    def step(self, problem: Problem, s: Ahead) -> Ahead:
        s = super().step(problem, s)
        return replace(s, x=s.x.to(torch.promote_types(s.x.dtype, torch.float64)))


class ObjectivePerRow(Fista):
    def objective(self, problem: Problem, x: Any, predicted: Any = None) -> Tensor:
        return x.abs().square().sum(-1)


class OneStepLengthForTheBatch(ConjugateGradient):
    def inner(self, problem: Problem, u: Tensor, v: Tensor) -> Tensor:
        return super().inner(problem, u, v).sum()


class DividesZeroByZero(ConjugateGradient):
    """An element that is solved gets no number any more."""

    def step(self, problem: Problem, s: Conjugate) -> Conjugate:
        curved = self.hessian(problem, s.direction)
        length = s.norm2 / self.inner(problem, s.direction, curved)
        following = super().step(problem, s)
        return replace(following, x=following.x + 0 * length)


class ChangeOfTheBatch(Fista):
    """Elements of a batch are done when all of them are."""

    def step(self, problem: Problem, s: Ahead) -> Ahead:
        following = super().step(problem, s)
        space: Any = problem.domain
        change = (space.squared_norm(following.x - s.x) / space.squared_norm(following.x).clamp_min(1e-300)).sqrt()
        return replace(following, change=change.amax().expand(problem.batch))


class EqualSamples(Langevin):
    def noise(self, problem: Problem, s: Chain) -> tuple[Any, Seed]:
        noise, seed = s.seed.normal(problem.domain)
        return noise.to(problem.device), seed


class KeepsItsMomentum(Fista):
    """Counts in the solver what belongs to the state."""

    def __init__(self) -> None:
        self.count = 0

    def start(self, problem: Problem, x0: Any = None) -> Ahead:
        self.count = 0
        return super().start(problem, x0)

    def step(self, problem: Problem, s: Ahead) -> Ahead:
        following = super().step(problem, replace(s, iteration=self.count))
        self.count += 1
        return replace(following, iteration=s.iteration + 1)


class DrawsOtherNumbers(Langevin):
    """A generator of its own, which begins anew after a resume."""

    def start(self, problem: Problem, x0: Any = None) -> Chain:
        self.generator = torch.Generator().manual_seed(problem.seed)
        return super().start(problem, x0)

    def noise(self, problem: Problem, s: Chain) -> tuple[Any, Seed]:
        return problem.domain.randn(self.generator, problem.batch).to(problem.device), s.seed


class DoesNotCount(Fista):
    def step(self, problem: Problem, s: Ahead) -> Ahead:
        return replace(super().step(problem, s), iteration=0)


class WorksOnTheStartItself(ConjugateGradient):
    def start(self, problem: Problem, x0: Any = None) -> Conjugate:
        state = super().start(problem, x0)
        return state if x0 is None else replace(state, x=x0)


class WorksOnTheData(Descent):
    def step(self, problem: Problem, s: State) -> State:
        if not torch.is_grad_enabled():
            problem.y.mul_(0.9)
        return super().step(problem, s)


class GlobalRandomness(Langevin):
    def noise(self, problem: Problem, s: Chain) -> tuple[Any, Seed]:
        return torch.randn_like(s.x), s.seed


class SeedOfItsOwn(Langevin):
    def start(self, problem: Problem, x0: Any = None) -> Chain:
        return replace(super().start(problem, x0), seed=Seed(0))


class InPlaceWithGradients(Descent):
    def step(self, problem: Problem, s: State) -> State:
        following = super().step(problem, s)
        with torch.no_grad():
            s.x.zero_()
        return following


class OtherWithGradients(Descent):
    def step(self, problem: Problem, s: State) -> State:
        following = super().step(problem, s)
        return replace(following, x=following.x * 1.1) if torch.is_grad_enabled() else following


class LosesTheGradient(ConjugateGradient):
    """A step length read on the host, and taken for a constant."""

    def inner(self, problem: Problem, u: Tensor, v: Tensor) -> Tensor:
        return super().inner(problem, u, v).detach()


class OnNoDevice(Fista):
    def start(self, problem: Problem, x0: Any = None) -> Ahead:
        state = super().start(problem, x0)
        return replace(state, ahead=torch.zeros(state.x.shape, dtype=state.x.dtype))


class ByTheHost(Fista):
    def step(self, problem: Problem, s: Ahead) -> Ahead:
        following = super().step(problem, s)
        return replace(following, x=following.x.cpu())


class AsksForTooLittle(Admm):
    needs = Needs((LinearOperator,), (Proximable,), range(1, 2), (Gaussian,))


class AsksForNoLikelihood(Descent):
    def step(self, problem: Problem, s: State) -> State:
        return super().step(replace(problem, likelihood=problem.likelihood.rescaled(1.0)), s)


class AsksForTooMuch(Fista):
    needs = Needs((LinearOperator,), (Proximable, Composite), range(1, 2), (Gaussian,))


def wrong_answer() -> Solved:
    return replace(pseudo_inverse_of_a_wide_matrix(), solution=torch.ones(1, 5, dtype=torch.complex128))


class OnItsOwnProblem(HalfThePrior):
    """No toy has a prior of this class."""

    needs = Needs((LinearOperator,), (Sparsity,), range(1, 2), (Gaussian,))


WRONG: dict[str, list[Wrong]] = {
    "known_solution": [
        Wrong(solver(HalfThePrior), "the result and the minimum of its objective"),
        Wrong(solver(UncountedDamping), "a weight that the objective counts otherwise"),
        Wrong(solver(AdjointForInverse, pseudo_inverse_of_a_wide_matrix()), "the result and the solution"),
        Wrong(solver(MinimumNorm, wrong_answer()), "the result and the solution"),
        Wrong(solver(OnItsOwnProblem, lasso()), r"the objective is [\d.]+ at the end, and [\d.]+ nearby"),
    ],
    "scale": [Wrong(solver(StepOfUnitNorm), r"scaled by (0.1|10.0).*does a step length take ‖A‖ for 1")],
    "blocks": [
        Wrong(solver(StepOfTheBlock), "a number of the block"),
        Wrong(solver(CouplesInSilence), "says couples = True"),
        Wrong(solver(ThresholdOfTheBlock), "a number of the block"),
    ],
    "result": [
        Wrong(solver(ResultInDouble), "no element of its result space"),
        Wrong(solver(ObjectivePerRow), "objective is torch.float64 of shape"),
    ],
    "batched": [
        Wrong(solver(OneStepLengthForTheBatch), "element 0 of a batch and the same alone, after 5 steps"),
        Wrong(solver(DividesZeroByZero), "element 2 .*values that are not finite"),
        Wrong(solver(ChangeOfTheBatch), "element . of a batch and the same alone, with the tolerance 0.001"),
        Wrong(solver(EqualSamples), "two samples of a batch are equal"),
    ],
    "resume": [
        Wrong(solver(KeepsItsMomentum), "keep something outside its state"),
        Wrong(solver(DrawsOtherNumbers), "draw other random numbers"),
    ],
    "counter": [Wrong(solver(DoesNotCount), "after 1 steps state.iteration is 0")],
    "purity": [
        Wrong(solver(WorksOnTheStartItself), r"start\(\) clones x0"),
        Wrong(solver(WorksOnTheData), "solving changes y"),
    ],
    "seed": [
        Wrong(solver(GlobalRandomness), "two runs with one seed differ"),
        Wrong(solver(SeedOfItsOwn), "problem.seed is not used"),
    ],
    "gradients": [
        Wrong(solver(InPlaceWithGradients), "changes its state"),
        Wrong(solver(OtherWithGradients), "gradients on and off differ"),
        Wrong(solver(LosesTheGradient), "a detach"),
    ],
    "meta": [Wrong(solver(OnNoDevice), "made without a device"), Wrong(solver(ByTheHost), r"a \.cpu\(\)")],
    "uses_what_it_asks_for": [
        Wrong(solver(AsksForTooLittle), "its needs do not name: .*solve_normal"),
        Wrong(solver(AsksForNoLikelihood), "its needs do not name: .*rescaled"),
    ],
    "asks_for_what_it_uses": [Wrong(solver(AsksForTooMuch), "its needs name Composite")],
}
