"""Rounds: blocks that share pixels each solve their own share, and then agree; see `preimage.solving.exchange`.

What a block found in a round is kept in a file of its own until all blocks have done the next.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from preimage.errors import RequestError, RunError
from preimage.solving import State, diverged, load_noted, load_part, save_state
from preimage.solving.exchange import ExchangeState, Exchanging
from preimage.solving.state import hollow
from preimage.volumes.tasks.observing import History
from preimage.volumes.tasks.sharing import SharedBlock, index_of, looking_at, shared_block
from preimage.volumes.tasks.task import Facts

if TYPE_CHECKING:
    from preimage.volumes.tasks.worker import Worker


def do_round(worker: Worker, stage: int, block: int, number: int) -> Facts:
    """Let a block agree with others on what they found in the round before, and solve its share again.

    The first round, 0, is where the solver starts. A round that an earlier attempt has done is not done again.

    Returns
    -------
    moved2, size2 : by how much the block has changed, and what it is, squared.

    Raises
    ------
    RunError : the solver diverges.
    """
    started = time.perf_counter()
    path, history = worker.beside.round(stage, number, block), History.of(worker)
    shared = shared_block(worker, stage, worker.plan.stages[stage].region(block))
    if path.exists():
        try:
            done = load_noted(hollow(_started(worker, shared)), path)[1]
        except RequestError:  # it is damaged
            done = {}
        if done.get("run") == worker.run:
            return dict(done["facts"])
    facts, seconds = {"moved2": 0.0, "size2": 0.0}, 0.0
    if number == 0:
        state = _started(worker, shared)
    else:
        state, seconds = found_in_round(worker, stage, block, number - 1, shared, history)
        own = shared.at(shared.region)
        before = state.x[own].clone()
        state = _met(worker, stage, block, number - 1, shared, state)
        facts = {"moved2": _energy(state.x[own] - before), "size2": _energy(state.x[own])}
        if not math.isfinite(facts["size2"]):
            raise diverged(history.name, state, worker.solver.stop)
        history(shared.share, state)
    seconds += time.perf_counter() - started
    path.parent.mkdir(parents=True, exist_ok=True)
    worker.check_ours()
    save_state(state, path, {"run": worker.run, "facts": facts, "seconds": seconds, "history": history.rows})
    return facts


def found_in_round(
    worker: Worker, stage: int, block: int, number: int, shared: SharedBlock, history: History
) -> tuple[ExchangeState, float]:
    """What a block found in a round, and the seconds that it took up to then; its history goes on.

    Raises
    ------
    RunError : what it found is lost.
    """
    template = hollow(_started(worker, shared))
    try:
        state, notes = load_noted(template, worker.beside.round(stage, number, block))
    except RequestError as error:
        raise _lost(block, number, error) from error
    assert isinstance(state, ExchangeState)
    history.rows = {int(iteration): row for iteration, row in notes["history"].items()}
    return state, float(notes["seconds"])


def _started(worker: Worker, shared: SharedBlock) -> State:
    with torch.no_grad():
        return worker.solver.start(shared.share)


def _met(
    worker: Worker, stage: int, block: int, number: int, shared: SharedBlock, state: ExchangeState
) -> ExchangeState:
    """The next state of a block: it meets the mean of all copies, summed in the order of blocks, so that all agree."""
    solver, dims = worker.solver, tuple(shared.share.domain.sizes)
    assert isinstance(solver, Exchanging)
    total, copies = torch.zeros_like(state.offer), torch.zeros_like(state.offer.real)
    for other, theirs, common in looking_at(worker.plan.stages[stage], shared.wide):
        here, there = shared.at(common), index_of(common, theirs, dims)
        if other == block:
            total[here] += state.offer[here]
        else:
            total[here] += _offered(worker, stage, other, number, there).to(total.device)
        copies[here] += 1
    with torch.no_grad():
        return solver.meet(shared.share, state, total.div_(copies), copies)


def _offered(worker: Worker, stage: int, block: int, number: int, index: tuple[slice, ...]) -> Tensor:
    """A part of what another block offered."""
    try:
        return load_part(worker.beside.round(stage, number, block), "offer", index)
    except RequestError as error:
        raise _lost(block, number, error) from error


def _lost(block: int, number: int, error: RequestError) -> RunError:
    return RunError(
        f"what block {block} found in round {number} is lost, and the others depend on it: {error}. "
        "Run it again with --fresh"
    )


def _energy(x: Tensor) -> float:
    return float(x.abs().square().sum())
