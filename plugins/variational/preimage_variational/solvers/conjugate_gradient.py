"""Conjugate gradients for damped least squares: ½‖Ax − y‖² + ½λ‖x‖²."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import xarray as xr
from pydantic import Field, PositiveInt
from torch import Tensor

import preimage
from preimage import Memory, hookimpl
from preimage.likelihoods import Gaussian
from preimage.operators import LinearOperator
from preimage.problem import Problem
from preimage.solving import Needs, Solver, State, Stop, initial_estimate
from preimage.space import owned_add, owned_aypx, safe_divide

ROUNDING = 10
"""Rounding errors, in units of the machine epsilon, below which a residual says nothing: a few for an AᴴA by FFT."""


class Settings(preimage.Settings):
    """How long it iterates, and how much it is damped."""

    damping: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """λ of ½‖Ax − y‖² + ½λ‖x‖²; it has the units of ‖A‖². Part of the objective that is reported."""
    max_iter: PositiveInt = 30
    """Number of iterations at most; without damping, stopping early is what keeps noise out."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Stop when the gradient's norm has fallen to this share of ‖Aᴴy‖; 0 never stops early."""


@dataclass(kw_only=True)
class CgState(State):
    """The state of conjugate gradients.

    Attributes
    ----------
    residual : Aᴴy − (AᴴA + λ)x, the negative gradient.
    direction : of the next step.
    residual_norm2, data_norm2 : ‖residual‖² and ‖Aᴴy‖², (*batch, 1, …, 1).
    """

    residual: Any
    direction: Any
    residual_norm2: Tensor
    data_norm2: Tensor


class ConjugateGradient(Solver):
    """Minimises ½‖Ax − y‖² + ½ damping ‖x‖² by conjugate gradients on (AᴴA + damping) x = Aᴴy.

    Started at zero and without damping it converges to the solution of minimum norm.

    References
    ----------
    Hestenes & Stiefel, Methods of conjugate gradients for solving linear systems, 1952. For coil arrays:
    Pruessmann et al., Advances in sensitivity encoding with arbitrary k-space trajectories, 2001.
    """

    needs = Needs(operator=(LinearOperator,), likelihood=(Gaussian,))
    couples = True  # its step lengths are inner products over the block

    def __init__(self, damping: float = 0.0, max_iter: int = 30, tolerance: float = 0.0) -> None:
        self.damping = damping
        self.stop = Stop(max_iter, tolerance)

    def start(self, problem: Problem, x0: Any = None) -> CgState:
        """From x0 or zero, along the negative gradient."""
        operator, space = _parts(problem)
        data = operator.adjoint(problem.y)
        residual = data.clone()  # what an operator returns is not ours to write over: it may be its argument
        if x0 is not None:
            residual = owned_add(owned_add(residual, operator.normal(x0), -1), x0, -self.damping)
        return CgState(
            x=initial_estimate(problem, x0),
            residual=residual,
            direction=residual.clone(),
            residual_norm2=space.squared_norm(residual),
            data_norm2=space.squared_norm(data),
        )

    def step(self, problem: Problem, state: State) -> CgState:
        """The best x along the direction, then the next direction, conjugate to all before."""
        assert isinstance(state, CgState)
        operator, space = _parts(problem)
        direction, norm2 = state.direction, _unless_solved(state)
        if self.damping:
            curved = operator.add_normal(self.damping * direction, direction, 1.0)
        else:
            curved = operator.normal(direction)
        length = safe_divide(norm2, space.inner(direction, curved).real)
        x = owned_add(state.x, direction, length)
        residual = owned_add(state.residual, curved, -length)
        new_norm2 = space.squared_norm(residual)
        return CgState(
            x=x,
            iteration=state.iteration + 1,
            change=safe_divide(new_norm2, state.data_norm2).sqrt().reshape(problem.batch),
            residual=residual,
            direction=owned_aypx(direction, residual, safe_divide(new_norm2, norm2)),
            residual_norm2=new_norm2,
            data_norm2=state.data_norm2,
        )

    def objective(self, problem: Problem, x: Any, predicted: Any = None) -> Tensor:
        """½‖Ax − y‖² + ½ damping ‖x‖²."""
        _, space = _parts(problem)
        norm2: Tensor = space.squared_norm(x).reshape(problem.batch)
        return problem.objective(x, predicted) + 0.5 * self.damping * norm2


def _parts(problem: Problem) -> tuple[LinearOperator, Any]:
    """The operator and its domain."""
    assert isinstance(problem.operator, LinearOperator)
    return problem.operator, problem.domain


def _unless_solved(state: CgState) -> Tensor:
    """‖residual‖², and 0, which stops all movement, once it is down to the rounding of ‖Aᴴy‖².

    What is left of the residual then is noise with parts in the null space of A, where curvature is 0 or nearly so:
    without damping its next step would be arbitrarily long.
    """
    rounding = (ROUNDING * torch.finfo(state.residual_norm2.dtype).eps) ** 2 * state.data_norm2
    return torch.where(state.residual_norm2 > rounding, state.residual_norm2, 0)


@hookimpl
def preimage_solver(settings: Settings) -> ConjugateGradient:
    """The solver."""
    return ConjugateGradient(settings.damping, settings.max_iter, settings.tolerance)


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The estimate, residual, direction and AᴴA of it; one more where the loop compares two estimates."""
    return Memory(per_image=4 + (settings.tolerance > 0))


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Problem]]:
    """Damped and undamped, over- and underdetermined and with a rank below both."""
    from preimage_variational.examples import least_squares, problems, solved

    for damping in (0.0, 0.3):
        for problem in problems():
            yield Settings(damping=damping, max_iter=60), solved(problem, least_squares(problem, damping))
