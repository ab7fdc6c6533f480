"""Markers: beside a run store, one small file for every block whose outputs are stored.

out/run.zarr.blocks/<stage>/<block>.json                 the block is done
out/run.zarr.blocks/<stage>/<block>.state.safetensors    the state of a block in work
out/run.zarr.blocks/<stage>/<block>.history.json         and what was noted of it
out/run.zarr.blocks/scratch/<stage>.zarr                 what a stage hands to the next
out/run.zarr.blocks/lease.json                           the process that is at work; see `preimage.volumes.lease`
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from preimage.files import write_atomically


class Beside:
    """The folder beside a run store."""

    def __init__(self, output: Path) -> None:
        self.folder = output.with_name(output.name + ".blocks")

    def create(self, n_stages: int) -> None:
        """Make the folders."""
        for stage in range(n_stages):
            (self.folder / str(stage)).mkdir(parents=True, exist_ok=True)
        (self.folder / "scratch").mkdir(exist_ok=True)

    def complete(self, n_stages: int) -> bool:
        """Whether everything is there that a run needs to go on."""
        folders = [self.folder / str(stage) for stage in range(n_stages)]
        return all(path.exists() for path in (*folders, *(self.scratch(stage) for stage in range(n_stages - 1))))

    def clear(self) -> None:
        """Forget all blocks."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def scratch(self, stage: int) -> Path:
        """The store of a stage's outputs that only later stages read."""
        return self.folder / "scratch" / f"{stage}.zarr"

    def clear_scratch(self) -> None:
        """Remove what only a run in work needs."""
        shutil.rmtree(self.folder / "scratch", ignore_errors=True)

    def state(self, stage: int, block: int) -> Path:
        """Where the state of a block in work is saved."""
        return self.folder / str(stage) / f"{block}.state.safetensors"

    def history(self, stage: int, block: int) -> Path:
        """Where the history of a block in work is saved."""
        return self.folder / str(stage) / f"{block}.history.json"

    def marker(self, stage: int, block: int) -> Path:
        """The marker of a block."""
        return self.folder / str(stage) / f"{block}.json"

    @property
    def lease(self) -> Path:
        """Where the process that writes the store says how it goes."""
        return self.folder / "lease.json"

    def done(self, stage: int) -> list[int]:
        """The blocks of a stage that are done, by the names of their markers alone."""
        try:
            names = [path.name.removesuffix(".json") for path in (self.folder / str(stage)).iterdir()]
        except FileNotFoundError:
            return []
        return sorted(int(name) for name in names if name.isdecimal())

    def read(self, stage: int, block: int) -> dict[str, Any] | None:
        """What a block's marker says; None if the block is not done."""
        try:
            return dict(json.loads(self.marker(stage, block).read_text()))
        except FileNotFoundError:
            return None

    def mark(self, stage: int, block: int, facts: dict[str, Any]) -> None:
        """Say that the outputs of a block are stored; its state is not needed any more."""
        write_atomically(self.marker(stage, block), json.dumps(facts))
        self.state(stage, block).unlink(missing_ok=True)
        self.history(stage, block).unlink(missing_ok=True)
