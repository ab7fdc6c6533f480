"""Solvers: the contract, the state of an iteration, the loop, and saving a state."""

from preimage.solving.loop import Observer, check_finite, diverged, solve
from preimage.solving.needs import Needs, unmet
from preimage.solving.rules import lipschitz
from preimage.solving.saving import load_noted, load_part, load_state, save_state
from preimage.solving.solver import Solver, Stop, initial_estimate
from preimage.solving.state import State

__all__ = [
    "Needs",
    "Observer",
    "Solver",
    "State",
    "Stop",
    "check_finite",
    "diverged",
    "initial_estimate",
    "lipschitz",
    "load_noted",
    "load_part",
    "load_state",
    "save_state",
    "solve",
    "unmet",
]
