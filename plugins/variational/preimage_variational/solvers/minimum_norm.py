"""The least-squares solution of minimum norm, A⁺y, by an operator's own pseudo-inverse."""

from __future__ import annotations

from collections.abc import Iterator

import xarray as xr

import preimage
from preimage import Memory, hookimpl
from preimage.likelihoods import Gaussian
from preimage.offers import offers
from preimage.operators import LinearOperator, PseudoInvertible
from preimage.problem import Problem
from preimage.solving import Needs, Solver, State, Stop


class Settings(preimage.Settings):
    """There is nothing to set."""


class MinimumNorm(Solver):
    """x = A⁺y, in one step: of all x that fit the data best, the one with the smallest norm.

    For operators with a pseudo-inverse in closed form. For all others `conjugate-gradient` without damping,
    started at zero, converges to the same x.
    """

    needs = Needs(operator=(LinearOperator, PseudoInvertible), likelihood=(Gaussian,))
    stop = Stop(1)
    one_pass = True

    def step(self, problem: Problem, state: State) -> State:
        """Apply A⁺."""
        operator = offers(problem.operator, PseudoInvertible)
        return State(x=operator.pinv(problem.y), iteration=state.iteration + 1)  # type: ignore[union-attr]


@hookimpl
def preimage_solver(settings: Settings) -> MinimumNorm:
    """The solver."""
    return MinimumNorm()


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The zero that it starts from, the result, and one intermediate of the pseudo-inverse."""
    return Memory(per_image=3)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Problem]]:
    """Data of more and of fewer numbers than the image has, and a rank that is less than both."""
    import torch

    from preimage_variational.examples import problems, solved

    for problem in problems():
        yield Settings(), solved(problem, torch.linalg.pinv(problem.operator.matrix) @ problem.y.flatten())
