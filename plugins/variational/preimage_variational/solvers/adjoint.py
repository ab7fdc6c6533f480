"""The adjoint Aᴴy: the zero-filled image, the back-projection."""

from __future__ import annotations

from collections.abc import Iterator

import xarray as xr

import preimage
from preimage import Memory, hookimpl
from preimage.operators import LinearOperator
from preimage.problem import Problem
from preimage.solving import Needs, Solver, State, Stop


class Settings(preimage.Settings):
    """There is nothing to set."""


class Adjoint(Solver):
    """x = Aᴴy, in one step; magnitudes are taken at the phase 0."""

    needs = Needs(operator=(LinearOperator,))
    stop = Stop(1)
    one_pass = True

    def step(self, problem: Problem, state: State) -> State:
        """Apply Aᴴ."""
        return State(x=problem.backprojection(), iteration=state.iteration + 1)


@hookimpl
def preimage_solver(settings: Settings) -> Adjoint:
    """The solver."""
    return Adjoint()


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The zero that it starts from, and the result."""
    return Memory(per_image=2)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Problem]]:
    """Data of more and of fewer numbers than the image has."""
    from preimage_variational.examples import problems, solved

    for problem in problems():
        yield Settings(), solved(problem, problem.operator.matrix.mH @ problem.y.flatten())
