"""Solving a whole that does not fit into memory, by blocks that overlap and agree in rounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from preimage.problem import Problem
from preimage.solving.state import State


@dataclass(kw_only=True)
class ExchangeState(State):
    """The state of a block.

    Attributes
    ----------
    offer : what it offers to its neighbours for the pixels that both look at, of the shape of x.
    """

    offer: Tensor


@runtime_checkable
class Exchanging(Protocol):
    """A solver that lets blocks agree, so that a prior which couples them need not have them in one piece.

    A block's problem is its share of the objective, over its own pixels and the few beyond at which its priors look:
    these shares add up to the whole. Its priors have a value and a splitting g(K x), and a prox only where they are
    constraints. Where blocks agree, `start` makes an `ExchangeState`, `stop` is about rounds, and an iteration is one.
    Without neighbours, in memory, a round is a `step`.
    """

    def meet(self, problem: Problem, state: ExchangeState, agreed: Tensor, copies: Tensor) -> ExchangeState:
        """One round of one block. It may consume its state while gradients are off.

        Parameters
        ----------
        state : after the round before.
        agreed : the mean of what all blocks that have a copy of a pixel offered in the round before, of the shape of x.
        copies : how many blocks have one, real, of the shape of x; 1 where it is this block's alone.
        """
        ...
