"""A volume whose data, k-space and the sensitivities of its coils, are three times what a worker may use in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from volumes.driving import MIB, apart, drive
from volumes.markers import blocks_of
from volumes.problem import Size, write
from volumes.recipe import cg_sense, write_run_file
from volumes.row import Row

TITLE = "Beyond memory"
MEMORY = 2**30
WORKERS = 2
ITERATIONS = 2
FULL = Size(8, 384, 256, 264)
TINY = Size(2, 16, 24, 24)


def measure(folder: Path, tiny: bool) -> dict[str, Any]:
    size = TINY if tiny else FULL
    source, output = folder / "source.zarr", folder / "output.zarr"
    apart(write, size, source)
    driven = drive(write_run_file(source, output, cg_sense(ITERATIONS), memory=MEMORY, workers=WORKERS))
    blocks = blocks_of(output)
    return {
        "size": str(size),
        "data_mib": 2 * size.nbytes / MIB,
        "memory_mib": MEMORY / MIB,
        "worker_mib": max(block.peak for block in blocks) / MIB,
        "largest_mib": driven.peak / MIB,
        "blocks": len(blocks),
        "wall_s": driven.wall_s,
        "cpu_s": driven.cpu_s,
    }


def rows(found: dict[str, Any]) -> list[Row]:
    memory = found["memory_mib"]
    of = f"{found['size']}, {found['blocks']} blocks, two workers of {memory / 1024:g} GiB"
    return [
        Row(of, "data / memory", found["data_mib"] / memory, at_least=3.0),
        Row(of, "peak of the largest worker / memory", found["worker_mib"] / memory, at_most=1.0),
        Row(of, "peak of the largest process, the driver too / memory", found["largest_mib"] / memory, at_most=1.0),
        Row(of, "from start to end", found["wall_s"], "s", form=".1f"),
    ]
