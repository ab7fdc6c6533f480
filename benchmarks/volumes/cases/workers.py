"""Two workers against one, from Zarr to Zarr: worker processes of the run itself, and those of a dask scheduler."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from volumes.driving import apart, drive
from volumes.markers import blocks_of, worker_seconds
from volumes.problem import Size, write
from volumes.recipe import cg_sense, write_run_file
from volumes.row import Row
from volumes.scheduler import scheduler

TITLE = "Two workers against one"
TARGET = 1.8
WORKERS = 2
MEMORY = "1 GiB"
"""Of each worker; the blocks of the first stage follow from it."""
FULL = (Size(8, 192, 192, 128), 10, 8)
TINY = (Size(2, 16, 24, 24), 2, 4)
"""Size, iterations, and the slices of a block of the second stage: of many blocks nobody waits long for the last."""


def measure(folder: Path, tiny: bool) -> dict[str, Any]:
    size, iterations, slices = TINY if tiny else FULL
    source = folder / "source.zarr"
    apart(write, size, source)

    def run(name: str, **compute: Any) -> dict[str, float]:
        output = folder / f"{name}.zarr"
        drive(write_run_file(source, output, cg_sense(iterations), memory=MEMORY, blocks={"x": slices}, **compute))
        blocks = blocks_of(output)
        work = sum(block.seconds for block in blocks)
        return {"blocks": len(blocks), "work_s": work, "wall_s": statistics.mean(worker_seconds(blocks))}

    found = {"size": str(size), "iterations": iterations, "one": run("one")}
    found["processes"] = run("processes", workers=WORKERS)
    with scheduler(folder / "dask", WORKERS) as there:
        found["dask"] = run("dask", scheduler_file=str(there.file))
    return found


def rows(found: dict[str, Any]) -> list[Row]:
    one = found["one"]
    of = f"CG-SENSE, {found['iterations']} iterations, {found['size']}, {one['blocks']} blocks"
    listed = [Row(of, "one worker", one["wall_s"], "s", form=".1f")]
    for name, who in (("processes", "two processes"), ("dask", "two workers of a dask scheduler")):
        two = found[name]
        listed += [
            Row(of, who, two["wall_s"], "s", form=".1f"),
            Row(of, f"{who}: throughput / one worker's", one["wall_s"] / two["wall_s"], at_least=TARGET),
            Row(of, f"{who}: time of a block / one worker's", two["work_s"] / one["work_s"]),
        ]
    return listed
