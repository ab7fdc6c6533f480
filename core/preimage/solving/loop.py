"""The loop: it owns iterations, tolerance and observers; solvers own their step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from preimage.errors import CapabilityError, RunError
from preimage.problem import Problem
from preimage.solving.needs import unmet
from preimage.solving.solver import Solver, Stop
from preimage.solving.state import State, map_tensors
from preimage.space import leaves

Observer = Callable[[Problem, State], bool | None]
"""Called after every step; returning False stops. It may read the state, and keeps none of its tensors."""


def solve(
    solver: Solver,
    problem: Problem,
    stop: Stop | None = None,
    *,
    observers: Iterable[Observer] = (),
    state: State | None = None,
    x0: Any = None,
) -> State:
    """Iterate until `stop`, without recording gradients; to train through steps, call `solver.step` yourself.

    Whether the values stay finite is not looked at, since that would wait for the device: see `check_finite`.

    Parameters
    ----------
    stop : overrides the solver's own, also for what its steps look at.
    state : go on from here; it may be consumed.
    x0 : where to start if there is no state.

    Raises
    ------
    CapabilityError : a part lacks what the solver needs.
    """
    lacks = unmet(solver.needs, problem.operator, problem.priors, problem.likelihood)
    if lacks:
        raise CapabilityError(f"{type(solver).__name__} cannot solve this: {'; '.join(lacks)}")
    if stop is not None:
        solver = solver.with_stop(stop)
    stop = solver.stop
    observers = tuple(observers)
    with torch.no_grad():
        state = solver.start(problem, x0) if state is None else state
        while state.iteration < stop.max_iter and not _arrived(state):
            state = solver.step(problem, state) if stop.tolerance <= 0 else _advance(solver, problem, state, stop)
            if any([observer(problem, state) is False for observer in observers]):  # noqa: C419 - all see it
                break
    return state


def diverged(name: str, state: State, stop: Stop) -> RunError:
    """What to say of a solver of this name whose values are not finite any more."""
    return RunError(
        f"{name} diverges: at iteration {state.iteration} of {stop.max_iter} values are not finite any more. "
        "Take a smaller step or another rule for it, or more regularisation"
    )


def check_finite(name: str, state: State, stop: Stop) -> None:
    """Refuse an estimate with values that are not finite; this reads all of it, and waits for the device.

    Raises
    ------
    RunError : names the solver by this name, and the iteration.
    """
    if not all(bool(part.isfinite().all()) for part in leaves(state.x)):
        raise diverged(name, state, stop)


def _arrived(state: State) -> bool:
    """Whether every element of a batch is done; so a run that goes on from its last state does not go further."""
    return state.done is not None and bool(state.done.all())


def _advance(solver: Solver, problem: Problem, state: State, stop: Stop) -> State:
    """One step, after which the elements of a batch that were done are what they were."""
    done = state.done
    if done is None:
        done = torch.zeros(problem.batch, dtype=torch.bool, device=problem.device)
    before = state.x.clone()
    frozen = map_tensors(torch.clone, state) if bool(done.any()) else None
    state = solver.step(problem, state)
    change = state.change if state.change is not None else _relative_change(problem, state.x, before)
    if frozen is not None:
        state = map_tensors(lambda new, old: _keep_where(done, new, old), state, _like(frozen, state))
    state.done = done | (change.reshape(done.shape) < stop.tolerance)
    return state


def _like(old: State, new: State) -> State:
    """The old state, with the new one's change where the old has none."""
    if old.change is None and new.change is not None:
        old.change = new.change.clone()
    return old


def _keep_where(done: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """The old values of the elements that are done; tensors without batch dims belong to all elements."""
    if not done.ndim or new.shape[: done.ndim] != done.shape:
        return new
    return torch.where(done.reshape(*done.shape, *[1] * (new.ndim - done.ndim)), old, new)


def _relative_change(problem: Problem, after: Any, before: Any) -> Tensor:
    space: Any = problem.domain
    moved2: Tensor = space.squared_norm(after - before)
    size2: Tensor = space.squared_norm(after)
    return (moved2 / size2.clamp_min(torch.finfo(size2.dtype).tiny)).sqrt()
