"""Laws of a solver's steps: batched, resumed, with gradients, from a seed, on a device."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from preimage.movable import moved
from preimage.operators import LinearOperator
from preimage.problem import Problem
from preimage.solving import Stop, load_state, save_state, solve
from preimage.space import Blocks, leaves
from preimage.testing.comparing import SLOPE, at, dot, expect_close, expect_same_number, generator, length, slope
from preimage.testing.comparing import gradient as gradient_of
from preimage.testing.examples import SolverExample
from preimage.testing.law import LawBroken, Laws, NotOffered
from preimage.testing.laws.states import seeds_of, stochastic, tensors_of

STEPS = Laws()

SAME = 1e-9
"""Of two ways to the same iterate: rounding, and its growth over some steps."""
N_STEPS = 5


@STEPS.each
def batched(example: SolverExample) -> None:
    """A batch gives what its elements give one by one, also where they are done after different numbers of steps."""
    problem = _unbatched(example)
    if stochastic(example.solver(), problem):
        _expect_independent_samples(example)
        return
    stops = [Stop(example.steps(N_STEPS))]
    factors = [1.0, 0.7]
    if example.toy is not None:
        stops.append(Stop(example.steps(300), tolerance=1e-3))
        factors.append(0.0)
    ys = [_shaken(problem.y, factor, seed) for seed, factor in enumerate(factors)]
    for stop in stops:
        together = solve(example.solver(), replace(problem, y=_stacked(ys)), stop).x
        for i, y in enumerate(ys):
            alone = solve(example.solver(), replace(problem, y=y), stop).x
            when = f"with the tolerance {stop.tolerance}" if stop.tolerance else f"after {stop.max_iter} steps"
            expect_close(
                at(together, i),
                alone,
                f"element {i} of a batch and the same alone, {when},",
                "a number of the whole batch where one of each element is meant, (*batch, 1, …, 1)?",
                tolerance=SAME,
                scale=length(alone) + length(at(together, 0)),
            )


@STEPS.each
def resume(example: SolverExample) -> None:
    """A run that is saved, loaded and gone on with equals one that was not interrupted, bit for bit."""
    solver, problem, n = example.solver(), example.problem, example.steps(2 * N_STEPS)
    if n < 2:
        raise NotOffered("it takes one step")
    whole = solve(solver, problem, Stop(n))
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "state.safetensors"
        save_state(solve(example.solver(), problem, Stop(n // 2)), path)
        later = example.solver()  # as in another process: what the first one kept to itself is gone
        state = load_state(later.start(problem), path)
    resumed = solve(later, problem, Stop(n), state=state)
    if resumed.iteration != whole.iteration or list(seeds_of(resumed)) != list(seeds_of(whole)):
        raise LawBroken("the iteration or the seed after going on is not what it is in one go")
    for one, other in zip(tensors_of(resumed), tensors_of(whole), strict=True):
        if not torch.equal(one, other):
            raise LawBroken(
                f"going on after {n // 2} of {n} steps differs from one go by {float((one - other).abs().max()):.1e}: "
                "does the solver keep something outside its state, or draw other random numbers?"
            )


@STEPS.each
def counter(example: SolverExample) -> None:
    """The state begins at iteration 0 and each step counts one more."""
    solver, problem = example.solver(), example.problem
    with torch.no_grad():
        state = solver.start(problem)
        for expected in range(example.steps(3) + 1):
            if state.iteration != expected:
                raise LawBroken(f"after {expected} steps state.iteration is {state.iteration}")
            state = solver.step(problem, state) if expected < example.steps(3) else state


@STEPS.each
def purity(example: SolverExample) -> None:
    """Solving changes neither the data, nor the start, nor the parts of the problem."""
    problem, x0 = example.problem, _start(example)
    watched = [*leaves(problem.y), *(leaves(x0) if x0 is not None else []), *problem.operator.tensors()]
    before = [tensor.clone() for tensor in watched]
    solve(example.solver(), problem, Stop(example.steps(N_STEPS)), x0=x0)
    if any(not torch.equal(now, then) for now, then in zip(watched, before, strict=True)):
        raise LawBroken(
            "solving changes y, x0 or a tensor of the operator: a step owns its state alone, and start() clones x0"
        )


@STEPS.each
def seed(example: SolverExample) -> None:
    """One seed gives one result, bit for bit; another seed gives another where random numbers are drawn."""
    problem, stop = example.problem, Stop(example.steps(N_STEPS))
    first, second = (solve(example.solver(), problem, stop) for _ in range(2))
    if any(not torch.equal(a, b) for a, b in zip(tensors_of(first), tensors_of(second), strict=True)):
        raise LawBroken("two runs with one seed differ: random numbers come from the Seed of the state alone")
    if any(found.draws for found in seeds_of(first)):
        other = solve(example.solver(), replace(problem, seed=problem.seed + 1), stop)
        if all(torch.equal(a, b) for a, b in zip(leaves(first.x), leaves(other.x), strict=True)):
            raise LawBroken("problem.seed is not used: start() copies it into the state")


@STEPS.each
def gradients(example: SolverExample) -> None:
    """With gradients on a step gives the same, leaves its inputs alone, and lets the gradient to the data through."""
    solver, problem, n = example.solver(), example.problem, example.steps(3)
    plain = solve(example.solver(), problem, Stop(n)).x
    with torch.enable_grad():
        y = map_element(lambda part: part.clone().requires_grad_(), problem.y)
        recorded = replace(problem, y=y)
        state = solver.start(recorded)
        for i in range(n):
            before = [tensor.detach().clone() for tensor in [*tensors_of(state), *leaves(y)]]
            following = solver.step(recorded, state)
            after = [*tensors_of(state), *leaves(y)]
            if any(not torch.equal(then, now.detach()) for then, now in zip(before, after, strict=True)):
                raise LawBroken(f"step {i + 1} with gradients on changes its state or y: owned_add instead of add_?")
            state = following
    expect_close(state.x, plain, f"{n} steps with gradients on and off", "an in-place path of its own?", tolerance=SAME)

    def number(y: Any) -> Tensor:
        again, current = replace(problem, y=y), example.solver()
        state = current.start(again)
        for _ in range(n):
            state = current.step(again, state)
        return dot(state.x, weights)

    weights = map_element(lambda part: torch.randn(part.shape, dtype=part.dtype, generator=generator(1)), plain)
    along = map_element(lambda part: torch.randn(part.shape, dtype=part.dtype, generator=generator(2)), problem.y)
    found, expected = gradient_of(number, problem.y), slope(number, problem.y, along)
    expect_same_number(
        dot(found, along),
        expected,
        f"the gradient of {n} steps to y and a finite difference",
        "a detach, .item() or no_grad inside a step: unrolled and trained it would learn the wrong thing",
        scale=length(found) * length(along) + abs(float(expected)),
        tolerance=10 * SLOPE,
    )


@STEPS.each
def meta(example: SolverExample) -> None:
    """One step on the device "meta", which finds tensors that are made on no device in particular."""
    problem, solver = example.problem, moved(example.solver(), "meta", None)
    scalars = dict(problem.scalars)
    if isinstance(problem.operator, LinearOperator):
        scalars.setdefault("norm", problem.operator.norm().value)  # which is not to be had from tensors without values
    far = replace(problem.to("meta"), scalars=scalars)
    try:
        with torch.no_grad():
            state = solver.step(far, solver.start(far))
    except (RuntimeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        if "item()" in reason:  # a restart or a line search may look at a number
            raise NotOffered(f"a step reads values on the host ({reason})") from None
        raise LawBroken(
            f'a step fails on the device "meta" ({reason}): a tensor made without a device, or a .cpu()?'
        ) from None
    wrong = {str(leaf.device) for leaf in leaves(state.x) if leaf.device.type != "meta"}
    if wrong:
        raise LawBroken(f'the result of a problem on "meta" is on {", ".join(sorted(wrong))}')


def map_element(function: Any, x: Any) -> Any:
    """Apply a function to every part of an element."""
    return Blocks({name: function(part) for name, part in x.items()}) if isinstance(x, Blocks) else function(x)


def _expect_independent_samples(example: SolverExample) -> None:
    """Element 0 of a batch draws what a lone problem draws; others draw other numbers."""
    problem, stop = example.problem, Stop(example.steps(N_STEPS))
    together = solve(example.solver(), replace(problem, y=_stacked([problem.y, problem.y])), stop).x
    alone = solve(example.solver(), problem, stop).x
    expect_close(at(together, 0), alone, "the first sample of a batch and the sample of a lone problem", tolerance=SAME)
    if length(at(together, 1) - alone) <= SAME * length(alone):
        raise LawBroken("two samples of a batch are equal: draw for the batch, Seed.normal(space, batch)")


def _unbatched(example: SolverExample) -> Problem:
    if example.problem.batch:
        raise NotOffered("the example is a batch already")
    return example.problem


def _shaken(y: Any, factor: float, seed: int) -> Any:
    """Other data of the same sort: the first are the data themselves."""

    def shake(part: Tensor) -> Tensor:
        wave = 1 + 0.3 * seed * torch.sin(torch.arange(part.numel(), dtype=part.real.dtype)).reshape(part.shape)
        return part * wave * factor

    return map_element(shake, y)


def _stacked(elements: list[Any]) -> Any:
    if isinstance(elements[0], Blocks):
        return Blocks({name: torch.stack([element[name] for element in elements]) for name in elements[0]})
    return torch.stack(elements)


def _start(example: SolverExample) -> Any:
    """A start of one's own; None for a problem that is a batch."""
    if example.problem.batch:
        return None
    return moved(example.problem.domain.with_dtype(torch.float64).randn(generator(8)), example.problem.device, None)
