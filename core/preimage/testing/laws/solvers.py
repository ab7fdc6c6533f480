"""Laws of what a solver arrives at."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from preimage.errors import SpaceError
from preimage.movable import moved
from preimage.problem import Problem
from preimage.solving import Solver, State, Stop, solve
from preimage.testing.comparing import DOUBLE, SINGLE, expect_close, from_vector, length, vector
from preimage.testing.datasets import blockings
from preimage.testing.examples import SolverExample
from preimage.testing.examples.solvers import with_scalars
from preimage.testing.law import LawBroken, Laws, NotOffered
from preimage.testing.laws.minimum import lower_neighbour
from preimage.testing.laws.states import stochastic
from preimage.testing.toys import N_ROWS, Solved

SOLVERS = Laws()

CONVERGED = Stop(max_iter=3000, tolerance=1e-10)
ARRIVED = 1e-4
"""Of a solver that has converged: relative changes below 1e-10 leave some 1e-6 with a rate as slow as 0.9999."""
LEVEL = 1e-7
"""How far above its minimum the objective may be, relative to where it began: the square of that, with room for a poor
condition."""
SAME = 1e-9
"""Of two ways to the same iterate: rounding, and its growth over some steps."""
N_STEPS = 5


@SOLVERS.each
def known_solution(example: SolverExample) -> None:
    """It arrives where its objective is least, or at the solution that the example gives."""
    solver, problem = example.solver(), example.problem
    if isinstance(problem, Solved):
        x = _at_the_end(solver, problem).x
        expect_close(x, moved(problem.solution, None, DOUBLE), "the result and the solution", tolerance=ARRIVED)
        return
    _expect_minimising(solver)
    x = _at_the_end(solver, problem).x
    if example.toy is not None:
        _expect_minimum(solver, problem, x)
    elif not problem.batch:
        _expect_no_lower_neighbour(solver, problem, x)


@SOLVERS.each
def scale(example: SolverExample) -> None:
    """For c·A, c·y and c²·R it arrives at the minimum of its objective as well, for c of 0.1, 1 and 10."""
    toy = example.family
    _expect_minimising(example.solver())
    for c in (0.1, 1.0, 10.0):
        solver = example.solver()
        problem = with_scalars(toy.problem(scale=c), example.method, example.settings)
        try:
            _expect_minimum(solver, problem, _at_the_end(solver, problem).x)
        except LawBroken as broken:
            raise LawBroken(f"for ‖A‖ scaled by {c}: {broken}: does a step length take ‖A‖ for 1?") from None


@SOLVERS.each
def blocks(example: SolverExample) -> None:
    """Blocks of independent rows give the rows of the whole: at every step, or for one that couples at the end."""
    solver, _ = example.solver(), example.family
    if stochastic(solver, example.problem):
        raise NotOffered("random numbers depend on the block")
    if solver.couples:
        _expect_minimising(solver)
    stop = CONVERGED if solver.couples else Stop(example.steps(N_STEPS))
    whole = _with_scalars(example, slice(0, N_ROWS))
    expected = solve(solver, whole, stop).x
    for blocking in blockings(N_ROWS):
        for block in blocking:
            part = _with_scalars(example, block)
            found = solve(example.solver(), part, stop).x
            expect_close(
                found,
                expected[..., block, :],
                f"the rows {block.start}:{block.stop} alone and among all",
                "a number of the block (a norm, a maximum, a step length) where one of the run is meant? A solver that "
                "needs such numbers asks for scalars, or says couples = True",
                tolerance=ARRIVED if solver.couples else SAME,
                scale=length(expected),
            )


@SOLVERS.each
def result(example: SolverExample) -> None:
    """The result is an element of the solver's result space, in its precision; the objective is a number an element."""
    for dtype in (DOUBLE, SINGLE):
        problem, solver = example.problem.to(dtype=dtype), example.solver(dtype)
        state = solve(solver, problem, Stop(example.steps(2)))
        try:
            solver.result_space(problem).check(state.x)
        except SpaceError as error:
            raise LawBroken(f"for a problem in {dtype} the result is no element of its result space: {error}") from None
        if solver.result_space(problem) == problem.domain:
            with torch.no_grad():
                objective = solver.objective(problem, state.x)
            if tuple(objective.shape) != problem.batch or objective.is_complex():
                raise LawBroken(f"objective is {objective.dtype} of shape {tuple(objective.shape)}, not real (*batch,)")


def _at_the_end(solver: Solver, problem: Problem) -> State:
    return solve(solver, problem, Stop(1) if solver.one_pass else CONVERGED)


def _expect_minimising(solver: Solver) -> None:
    """A sampler, a plug-and-play method or a direct inverse minimises nothing."""
    if solver.one_pass or not getattr(solver, "minimises", True):
        raise NotOffered("it does not minimise its objective")


def _expect_minimum(solver: Solver, problem: Problem, x: Any) -> None:
    """The objective of a toy is quadratic: one Newton step from anywhere leads to its minimum."""

    def objective(numbers: Tensor) -> Tensor:
        return solver.objective(problem, from_vector(problem.domain, numbers)).sum()

    numbers = vector(x)
    slope = torch.autograd.functional.jacobian(objective, numbers)  # type: ignore[no-untyped-call]
    curvature = torch.autograd.functional.hessian(objective, numbers)  # type: ignore[no-untyped-call]
    minimum = numbers - torch.linalg.pinv(curvature, hermitian=True) @ slope  # nearest to x where it is not unique
    expect_close(
        x,
        from_vector(problem.domain, minimum),
        "the result and the minimum of its objective",
        "a step too long or too short, or a weight that the objective counts otherwise?",
        tolerance=ARRIVED,
    )


def _expect_no_lower_neighbour(solver: Solver, problem: Problem, x: Any) -> None:
    """The objective need not be smooth, nor is there only one minimum: nothing near is lower."""

    def objective(x: Any) -> float:
        with torch.no_grad():
            return float(solver.objective(problem, x))

    with torch.no_grad():
        before = objective(solver.start(problem).x)
    reached = objective(x)
    slack = LEVEL * (abs(before) if math.isfinite(before) else abs(reached))
    lower = lower_neighbour(objective, x, (), slack)
    if lower is not None:
        raise LawBroken(f"the objective is {reached:.10g} at the end, and {lower:.10g} nearby")


def _with_scalars(example: SolverExample, rows: slice) -> Problem:
    """The problem of some rows, with the numbers of the whole run."""
    whole: Any = example.problem.operator
    problem = replace(example.family.problem(rows=rows), scalars={"norm": whole.norm().value})
    blocks = [example.family.problem(rows=block) for block in blockings(N_ROWS)[0]]
    return with_scalars(problem, example.method, example.settings, blocks)
