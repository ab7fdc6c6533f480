"""The forms of plug-and-play: a denoiser in place of the prox in FISTA, in ADMM and in half-quadratic splitting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from preimage.errors import RequestError
from preimage.likelihoods import Gaussian
from preimage.offers import offers
from preimage.operators import LinearOperator, NormalSolvable
from preimage.priors import Denoiser
from preimage.problem import Problem
from preimage.solving import Needs, Solver, State, Stop, initial_estimate, lipschitz
from preimage.space import Blocks, owned_add, owned_aypx
from preimage_variational.owned import owned_zero
from preimage_variational.solvers.normal_equation import solve_by_conjugate_gradients

ImageUpdate = Literal["auto", "closed-form", "conjugate-gradient"]


@dataclass(frozen=True)
class Schedule:
    """σ from first to last, geometrically in so many iterations, and the last ever after."""

    first: float
    last: float
    n_iterations: int

    def __call__(self, iteration: int) -> float:
        """σ of an iteration, counted from 0."""
        share = min(iteration / max(self.n_iterations - 1, 1), 1.0)
        return float(self.first ** (1 - share) * self.last**share)


@dataclass(kw_only=True)
class GradientState(State):
    """The state of the FISTA form.

    Attributes
    ----------
    ahead : where the next gradient is taken.
    data : Aᴴy, computed once.
    momentum : t of Beck & Teboulle.
    """

    ahead: Any
    data: Any
    momentum: float = 1.0


class GradientForm(Solver):
    """x ← D(z − τAᴴ(Az − y), σ) with τ = 1/‖A‖² and z ahead of x: FISTA with D where the prox of τλR is, λ = σ²/τ.

    References
    ----------
    Kamilov, Mansour & Wohlberg, A plug-and-play priors approach for solving nonlinear imaging inverse problems, 2017.
    """

    needs = Needs(operator=(LinearOperator,), prior=(Denoiser,), priors=range(1, 2), likelihood=(Gaussian,))
    minimises = False

    def __init__(self, schedule: Schedule, stop: Stop) -> None:
        self.schedule = schedule
        self.stop = stop

    def start(self, problem: Problem, x0: Any = None) -> GradientState:
        """From x0 or zero."""
        assert isinstance(problem.operator, LinearOperator)
        x = initial_estimate(problem, x0)
        return GradientState(x=x, ahead=x.clone(), data=problem.operator.adjoint(problem.y))

    def step(self, problem: Problem, state: State) -> GradientState:
        """A gradient step from the point ahead, the denoiser, and the next point ahead."""
        assert isinstance(state, GradientState)
        assert isinstance(problem.operator, LinearOperator)
        size = 1 / (lipschitz(problem) or 1.0)  # nothing measured: any step will do
        point = problem.operator.add_normal(state.ahead, state.ahead, -size)
        x = denoised(problem, owned_add(point, state.data, size), self.schedule(state.iteration))
        momentum = (1 + (1 + 4 * state.momentum**2) ** 0.5) / 2
        back = owned_add(state.x, x, -1)  # the last step, backwards
        return GradientState(
            x=x,
            iteration=state.iteration + 1,
            ahead=owned_aypx(back, x, -(state.momentum - 1) / momentum),
            data=state.data,
            momentum=momentum,
        )


@dataclass(kw_only=True)
class SplitState(State):
    """The state of the ADMM and the HQS form.

    Attributes
    ----------
    x : the denoised image.
    fitted : the image that fits the data, close to the denoised one.
    data : Aᴴy, computed once.
    multiplier : u of Boyd et al., λ/ρ times a gradient of R; None without.
    """

    fitted: Any
    data: Any
    multiplier: Any = None


class SplitForm(Solver):
    """Fit: z = argmin ½‖Az − y‖² + ½ρ‖z − (x − u)‖²; denoise: x ← D(z + u, σ), σ² = λ/ρ; u ← u + z − x, or u = 0.

    With u it is ADMM. If D is the prox of σ²R for every σ, it arrives at the minimum of ½‖Ax − y‖² + λR(x) with any
    fixed σ, and where σ changes u is kept in proportion to σ², so that it stays there. Without u it is half-quadratic
    splitting, which arrives at the minimum over x and z of ½‖Az − y‖² + ½ρ‖z − x‖² + λR(x), the same for σ → 0 only.

    References
    ----------
    Venkatakrishnan, Bouman & Wohlberg, Plug-and-play priors for model based reconstruction, 2013. A ρ that grows: Chan,
    Wang & Elgendy, Plug-and-play ADMM for image restoration: fixed-point convergence and applications, 2017. HQS with
    a falling σ: Zhang, Li, Zuo, Zhang, Van Gool & Timofte, Plug-and-play image restoration with deep denoiser prior,
    2022.
    """

    minimises = False

    def __init__(
        self,
        schedule: Schedule,
        stop: Stop,
        weight: float | None = None,
        *,
        multipliers: bool,
        image_update: ImageUpdate = "auto",
        inner_iterations: int = 10,
    ) -> None:
        self.schedule = schedule
        self.stop = stop
        self.weight = weight
        self.multipliers = multipliers
        self.image_update = image_update
        self.inner_iterations = inner_iterations
        closed = image_update == "closed-form"
        self.couples = not closed  # the step lengths of conjugate gradients are inner products over the block
        self.needs = Needs(
            operator=(LinearOperator, NormalSolvable) if closed else (LinearOperator,),
            prior=(Denoiser,),
            priors=range(1, 2),
            likelihood=(Gaussian,),
        )

    def start(self, problem: Problem, x0: Any = None) -> SplitState:
        """From x0 or zero."""
        assert isinstance(problem.operator, LinearOperator)
        self._weight(problem)
        x = initial_estimate(problem, x0)
        data = problem.operator.adjoint(problem.y)
        return SplitState(x=x, fitted=x.clone(), data=data, multiplier=problem.zeros() if self.multipliers else None)

    def step(self, problem: Problem, state: State) -> SplitState:
        """Fit, denoise, and add what the two disagree by to the multiplier."""
        assert isinstance(state, SplitState)
        sigma = self.schedule(state.iteration)
        rho, wanted, multiplier = self._weight(problem) / sigma**2, state.x, None
        if state.multiplier is not None:
            change = (sigma / self.schedule(state.iteration - 1)) ** 2 if state.iteration else 1.0
            multiplier = state.multiplier * change
            wanted = owned_add(wanted, multiplier, -1)
        fitted = self._fit(problem, owned_aypx(wanted, state.data, rho), rho, state.fitted)
        point = fitted if multiplier is None else owned_add(multiplier, fitted, 1)
        x = denoised(problem, point, sigma)
        return SplitState(
            x=x,
            iteration=state.iteration + 1,
            fitted=fitted,
            data=state.data,
            multiplier=None if multiplier is None else point - x,
        )

    def _weight(self, problem: Problem) -> float:
        """λ."""
        assert isinstance(problem.likelihood, Gaussian)
        if self.weight is not None:
            return self.weight
        if not problem.likelihood.std:
            raise RequestError(
                "plug-and-play weighs the denoiser by the variance of the noise, which is not known: set the weight, "
                "or the std of the likelihood"
            )
        return problem.likelihood.std**2

    def _fit(self, problem: Problem, target: Any, rho: float, before: Any) -> Any:
        """(AᴴA + ρ)⁻¹ target."""
        operator = problem.operator
        assert isinstance(operator, LinearOperator)
        solvable = None if self.image_update == "conjugate-gradient" else offers(operator, NormalSolvable)
        if solvable is not None:
            return solvable.solve_normal(target, rho)

        def hessian(v: Any, spare: Any) -> Any:
            return operator.add_normal(owned_add(owned_zero(spare), v, rho), v, 1.0)

        return solve_by_conjugate_gradients(problem.domain, hessian, target, before, self.inner_iterations)


def denoised(problem: Problem, point: Any, sigma: float) -> Any:
    """The one denoiser on the unknown that it is for; never the point itself, whose memory is used again."""
    (prior,), (name,) = problem.priors, problem.on
    denoiser = offers(prior, Denoiser)
    assert denoiser is not None
    if name is None:
        x = denoiser.denoise(point, sigma)
        return x.clone() if x is point else x
    return Blocks({**point.clone(), name: denoiser.denoise(point[name].clone(), sigma)})
