"""Solvers as examples, on problems of the module's own and on toys."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from preimage.declarations import Scalar
from preimage.errors import RequestError
from preimage.movable import moved
from preimage.problem import Problem
from preimage.solving import Solver, unmet
from preimage.testing.calling import Method
from preimage.testing.comparing import DOUBLE
from preimage.testing.law import NotOffered
from preimage.testing.toys import Toy


@dataclass(frozen=True)
class SolverExample:
    """A solver and a problem in double precision.

    Attributes
    ----------
    problem : what is solved.
    method, settings : how the solver is made, a new one for every law.
    toy : the family to which the problem belongs; None for a problem of the module's own.
    label : names the example in messages.
    """

    problem: Problem
    method: Method
    settings: Any
    toy: Toy | None = None
    label: str = ""

    @property
    def part(self) -> Any:
        """What is made."""
        return self.solver()

    def solver(self, dtype: torch.dtype = DOUBLE) -> Solver:
        """Make the solver; what it was trained with is converted."""
        return moved(self.method.make(settings=self.settings), None, dtype)  # type: ignore[no-any-return]

    def steps(self, most: int) -> int:
        """How many steps to take: no more than the solver's own limit, which may be the length of a schedule."""
        solver = self.solver()
        return 1 if solver.one_pass else min(most, solver.stop.max_iter)

    @property
    def family(self) -> Toy:
        """The toy, for laws that change the problem."""
        if self.toy is None:
            raise NotOffered("only toy problems can be scaled and cut")
        return self.toy


def made(problem: Problem, method: Method, settings: Any, label: str, toy: Toy | None = None) -> SolverExample:
    """An example whose problem has the numbers of the run that the solver asks for."""
    return SolverExample(with_scalars(problem, method, settings), method, settings, toy, label)


def toys(method: Method, settings: Any) -> Iterator[SolverExample]:
    """Yield toys that offer what the solver needs: real and complex, with few and with more priors."""
    solver = method.make(settings=settings)
    counts = [n for n in range(3) if n in solver.needs.priors]
    for n_priors in sorted({*counts[:1], *counts[-1:]}):
        for dtype in (torch.float64, torch.complex128):
            sorts = (Toy(dtype, n_priors), Toy(dtype, n_priors, masked=True))
            candidates = (made(toy.problem(), method, settings, f"on a toy problem ({toy})", toy) for toy in sorts)
            yield from [example for example in candidates if _fits(solver, example.problem)][:1]


def with_scalars(problem: Problem, method: Method, settings: Any, blocks: Sequence[Problem] = ()) -> Problem:
    """The problem with the numbers of the run that the method asks for, of the problem itself or of all blocks."""
    wanted: Mapping[str, Scalar] = method.ask("preimage_scalars", settings=settings) or {}
    numbers = {
        name: functools.reduce(scalar.combine, map(scalar.partial, blocks or [problem]))
        for name, scalar in wanted.items()
        if name not in problem.scalars
    }
    return replace(problem, scalars={**problem.scalars, **numbers})


def _fits(solver: Solver, problem: Problem) -> bool:
    """Whether the solver's needs are met, and it does not refuse the problem itself, such as for its dims."""
    if unmet(solver.needs, problem.operator, problem.priors, problem.likelihood):
        return False
    try:
        with torch.no_grad():
            solver.step(problem, solver.start(problem))
    except RequestError:
        return False
    return True
