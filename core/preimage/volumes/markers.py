"""Markers: beside a run store, one small file for every block whose outputs are stored, and for every fit.

out/run.zarr.blocks/<stage>/<block>.json                 the block is done
out/run.zarr.blocks/fits/<preparation>.json              a preparation is fitted, and what it found is stored
out/run.zarr.blocks/<stage>/<block>.state.safetensors    the state of a block in work, and its history so far
out/run.zarr.blocks/<stage>/rounds/<n>/<block>.safetensors   what a block that shares pixels found in a round
out/run.zarr.blocks/scratch/<stage>.zarr                 what a stage hands to the next
out/run.zarr.blocks/lease.json                           the process that is at work; see `preimage.volumes.lease`
out/run.zarr.blocks/stop                                 word for workers to save their states and end
out/run.zarr.blocks/logs/<worker>.log                    what worker processes of this machine said
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from preimage.files import flush, remove_folder, write_atomically
from preimage.record import digest

Stage = int | Literal["fits"]
"""Where a marker is: with the blocks of a stage, or with the fits of all preparations."""


class Beside:
    """The folder beside a run store.

    Parameters
    ----------
    run : whose markers count; a worker that outlives its driver may write one when another run has the folder. Without,
        those of any do.
    """

    def __init__(self, output: Path, run: str | None = None) -> None:
        self.run = run
        self.folder = output.with_name(output.name + ".blocks")
        self._stop, self._ask_next = False, 0.0

    def create(self, n_stages: int) -> None:
        """Make the folders."""
        for stage in (*range(n_stages), "fits"):
            (self.folder / str(stage)).mkdir(parents=True, exist_ok=True)
        (self.folder / "scratch").mkdir(exist_ok=True)
        self.logs.mkdir(exist_ok=True)

    def clear(self) -> None:
        """Forget all blocks, and keep the lease: who clears has it."""
        for path in self.folder.iterdir() if self.folder.exists() else ():
            if path.is_dir():
                remove_folder(path)
        self.stop.unlink(missing_ok=True)

    def scratch(self, stage: int) -> Path:
        """The store of a stage's outputs that only later stages read."""
        return self.folder / "scratch" / f"{stage}.zarr"

    def clear_scratch(self) -> None:
        """Remove what the stages handed to each other."""
        remove_folder(self.folder / "scratch")

    def state(self, stage: Stage, block: int) -> Path:
        """Where the state of a block in work is saved."""
        return self.folder / str(stage) / f"{block}.state.safetensors"

    def rounds(self, stage: int) -> list[int]:
        """The numbers of the rounds that something is kept of."""
        folder = self.folder / str(stage) / "rounds"
        return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal()) if folder.exists() else []

    def round(self, stage: int, number: int, block: int) -> Path:
        """What a block found in a round."""
        return self.folder / str(stage) / "rounds" / str(number) / f"{block}.safetensors"

    def clear_rounds(self, stage: int, before: float = math.inf) -> None:
        """Forget the rounds before one, or all."""
        for number in self.rounds(stage):
            if number < before:
                remove_folder(self.folder / str(stage) / "rounds" / str(number))

    def marker(self, stage: Stage, block: int) -> Path:
        """The marker of a block."""
        return self.folder / str(stage) / f"{block}.json"

    @property
    def lease(self) -> Path:
        """Where the process that writes the store says how it goes."""
        return self.folder / "lease.json"

    @property
    def stop(self) -> Path:
        """Where the driver leaves word for workers that it cannot reach otherwise."""
        return self.folder / "stop"

    @property
    def logs(self) -> Path:
        """The folder of what worker processes said."""
        return self.folder / "logs"

    def asked_to_stop(self) -> bool:
        """Whether the driver left word to stop; the disk is asked once a second at most."""
        now = time.monotonic()
        if self._stop or now >= self._ask_next:  # a word that was taken back counts no more
            self._ask_next = now + 1.0
            self._stop = self.stop.exists()
        return self._stop

    def done(self, stage: Stage) -> list[int]:
        """The blocks of a stage that are done, by the names of their markers alone."""
        try:
            names = [path.name.removesuffix(".json") for path in (self.folder / str(stage)).iterdir()]
        except FileNotFoundError:
            return []
        return sorted(int(name) for name in names if name.isdecimal())

    def read(self, stage: Stage, block: int) -> dict[str, Any] | None:
        """What a block's marker says; None if the block is not done, or its marker is damaged or of another run."""
        try:
            facts = dict(json.loads(self.marker(stage, block).read_bytes()))
            whole = facts.pop("digest", None) == digest(facts)
        except (FileNotFoundError, ValueError, TypeError):
            return None
        run = facts.pop("run", None)
        return facts if whole and self.run in (None, run) else None

    def sound(self, stage: Stage) -> set[int]:
        """The blocks of a stage that are done, by what their markers say."""
        return {block for block in self.done(stage) if self.read(stage, block) is not None}

    def unmark(self, stage: Stage, blocks: Iterable[int]) -> None:
        """Say that blocks are not done after all, and have that on the disk."""
        for block in blocks:
            self.marker(stage, block).unlink(missing_ok=True)
        flush(self.folder / str(stage))

    def mark(self, stage: Stage, block: int, facts: dict[str, Any]) -> None:
        """Say that the outputs of a block are stored; its state is not needed any more."""
        facts = facts | {"run": self.run}
        write_atomically(self.marker(stage, block), json.dumps(facts | {"digest": digest(facts)}))
        self.state(stage, block).unlink(missing_ok=True)
