"""The contract of a solver."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from preimage.operators import LinearOperator
from preimage.problem import Problem
from preimage.solving.needs import Given, Needs
from preimage.solving.state import State
from preimage.space import AnySpace


@dataclass(frozen=True)
class Stop:
    """When an iteration ends.

    Attributes
    ----------
    max_iter : number of steps at most.
    tolerance : an element of a batch is done, and frozen, once its change falls below this; 0 never stops.
    """

    max_iter: int
    tolerance: float = 0.0


class Solver(Protocol):
    """An algorithm. Derive from this class to inherit the defaults; a trained solver may be an nn.Module too.

    `step` reads like the paper's iteration. It may consume its state (reuse the memory of its tensors)
    while gradients are off; with gradients on it leaves its inputs alone and returns the same values, so
    that steps can be unrolled into a network whose layer index is `state.iteration`.
    """

    needs: Needs
    """What it asks of the other parts; may depend on settings."""
    stop: Stop
    """From its settings."""
    couples: bool = False
    """True where a step mixes all of a block, such as by a step length: blocks then agree at convergence only."""
    one_pass: bool = False
    """True where `step` runs once, such as in a direct inverse or a feed-forward network."""
    minimises: bool = True
    """False where iterations do not lower `objective`, as those of a sampler or of plug-and-play do not."""

    def check_unknowns(self, unknowns: Sequence[str], on: Sequence[str | None]) -> None:
        """Refuse unknowns, or priors on them, that its settings do not fit; asked before any data are read.

        Parameters
        ----------
        unknowns : their names; none where there is only one.
        on : for each prior the name of the unknown that it is for; None where it is for all, or there is only one.

        Raises
        ------
        RequestError : says what does not fit, and what would.
        """
        return

    def inside(self, given: Given) -> Mapping[tuple[str | int, ...], tuple[Solver, Given]]:
        """The solvers that it is made of, each with what it gives it; asked before any data are read.

        What is wrong with one of them is then told where that one is written: the key is where its section stands in
        the settings, such as ("turns", 0, "solver"). None where `check_unknowns` has something to refuse.
        """
        return {}

    def start(self, problem: Problem, x0: Any = None) -> State:
        """The state before the first step; clones x0."""
        return State(x=initial_estimate(problem, x0))

    def step(self, problem: Problem, state: State) -> State:
        """One iteration; the returned state counts one more."""
        raise NotImplementedError(f"{type(self).__name__} must implement step(problem, state)")

    def objective(self, problem: Problem, x: Any, predicted: Any = None) -> Tensor:
        """What it minimises, (*batch,): the problem's objective unless its settings add to that."""
        return problem.objective(x, predicted)

    def with_stop(self, stop: Stop) -> Self:
        """A copy that ends elsewhere: `solve` is given another end, and a step may look at it."""
        other = copy.copy(self)
        other.stop = stop
        return other

    def result_space(self, problem: Problem) -> AnySpace:
        """The space of the result: the operator's domain unless the solver says otherwise."""
        return problem.domain


def initial_estimate(problem: Problem, x0: Any = None) -> Any:
    """A clone of x0; without, where `initial` says: of the operator, or, of a linear one, of the likelihood; or 0."""
    if x0 is not None:
        return problem.domain.check(x0).clone()
    with torch.no_grad():
        if not isinstance(problem.operator, LinearOperator):
            return problem.operator.initial(problem.y, problem.seed)
        if hasattr(problem.likelihood, "initial"):
            return problem.likelihood.initial(problem.operator, problem.y, problem.seed)
        return problem.zeros()
