"""What solvers that are made of solvers share."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable
from typing import Any

import torch
import xarray as xr

from preimage import Memory
from preimage.parts import Part
from preimage.problem import Problem
from preimage.solving import Solver, State, Stop, solve


def stepped(solver: Solver, problem: Problem, state: State) -> State:
    """One step as the loop takes it: elements of a batch that have arrived stay. With gradients on, all move."""
    if torch.is_grad_enabled():
        return solver.step(problem, state)
    return solve(solver, problem, Stop(state.iteration + 1, solver.stop.tolerance), state=state)


def solved(solver: Solver, problem: Problem, x0: Any) -> State:
    """All steps from a start. With gradients on they are recorded, and a tolerance ends nothing early."""
    if not torch.is_grad_enabled():
        return solve(solver, problem, x0=x0)
    state = solver.start(problem, x0)
    while state.iteration < solver.stop.max_iter:
        state = solver.step(problem, state)
    return state


def union(needs: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    """All that is needed, once each."""
    return tuple(dict.fromkeys(need for several in needs for need in several))


def largest_memory(parts: Iterable[Part], dataset: xr.Dataset) -> Memory:
    """What suffices for any of the solvers, of which one is at work at a time."""
    asked = [part.ask("preimage_memory", dataset=dataset) or Memory() for part in parts]
    return functools.reduce(operator.or_, asked)
