"""The toy chain with a gate in its solver: tests hold a block inside its iterations until they let it go on."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from preimage.declarations import Memory
from preimage.errors import PluginError, RunError
from support import toy_chain

HELD_AT = 20
"""The iteration at which a block is held."""
ITERATIONS = 40
MANY = 1e7
"""So many bytes a byte of data are declared for the transform of the rows that it is done in three blocks."""


class Gate:
    """A folder of files, which processes share: a token lets one block pass, `open` all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def let_pass(self, n: int) -> None:
        """Let so many blocks pass."""
        self.folder.mkdir(exist_ok=True)
        for i in range(n):
            (self.folder / f"token-{i}").touch()

    def open(self) -> None:
        """Hold nobody any more."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "open").touch()

    def fail(self) -> None:
        """Have one of those that are held fail."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "fails").touch()

    def passes(self) -> bool:
        """Whether a block may pass; it has used up a token then."""
        if (self.folder / "open").exists():
            return True
        if _taken(self.folder / "fails"):
            raise RunError("the gate is broken")
        return any(_taken(token) for token in self.folder.glob("token-*"))


def _taken(token: Path) -> bool:
    try:
        token.unlink()
    except FileNotFoundError:  # there is none, or another took it
        return False
    return True


class Gated(toy_chain.Descent):
    """Takes no step at the gate, so that what looks on between steps is still asked."""

    def __init__(self, gate: Gate, **settings) -> None:
        super().__init__(**settings)
        self.gate = gate

    def step(self, problem, state):
        if state.iteration == HELD_AT and not self.gate.passes():
            time.sleep(0.01)
            return state
        return super().step(problem, state)


class Forbidden:
    """A loader whose dataset may not be read."""

    def describe(self):
        raise PermissionError(13, "Permission denied", "in.zarr")


def build(recipe):
    """The chain of a recipe.

    What a process has installed is faked by its environment: `TOY_VERSION` is the version of the operator's
    distribution, with `TOY_LACKS` the operator is not installed, and with `TOY_FORBIDS` the dataset may not be read.
    """
    if "TOY_LACKS" in os.environ:
        raise PluginError("operator 'rows' is not installed")
    chain = toy_chain.build(recipe)
    chain.operator.origin = {"distribution": "lab-rows", "version": os.environ.get("TOY_VERSION", "1.0")}
    if "TOY_FORBIDS" in os.environ:
        chain.loader.factory = Forbidden
    propose, gate = chain.propose, Gate(Path(recipe["options"]["gate"]))

    def in_blocks(section):
        part = propose(section)
        part.hooks["preimage_memory"] = lambda **_: Memory(per_input=MANY)
        return part

    solver = toy_chain.ToyPart(
        "solver",
        "descent",
        lambda: Gated(gate, **recipe["options"]["solver"]),
        declared=Gated,
        hooks=chain.solver.hooks,
    )
    return replace(chain, solver=solver, propose=in_blocks)


def recipe(path, output, gate, seed=0, **compute):
    """A run of six blocks after a stage of three, with noise in every step, whose states are saved all the time."""
    compute = {"blocks": {"x": 2}, "checkpoint": 0.05, "probe": False, **compute}
    solver = {"max_iter": ITERATIONS, "noise": 0.1}
    return toy_chain.recipe(path, output, compute, seed=seed, solver=solver, gate=str(gate))
