"""Looking into the state of an iteration."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from preimage.problem import Problem
from preimage.randomness import Seed
from preimage.solving import Solver, State
from preimage.solving.state import map_tensors


def tensors_of(state: State) -> list[Tensor]:
    """All tensors of a state, in order."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(keep, state)
    return found


def seeds_of(state: Any) -> Iterator[Seed]:
    """The seeds in a state."""
    if isinstance(state, Seed):
        yield state
    elif isinstance(state, State):
        for field in dataclasses.fields(state):
            yield from seeds_of(getattr(state, field.name))
    elif isinstance(state, list | tuple):
        for part in state:
            yield from seeds_of(part)


def stochastic(solver: Solver, problem: Problem) -> bool:
    """Whether a solver draws random numbers: its state has a seed."""
    with torch.no_grad():
        return any(True for _ in seeds_of(solver.start(problem)))
