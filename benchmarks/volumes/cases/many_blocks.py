"""Ten thousand tiny blocks: what a block costs beside its work, and whether the driver stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import preimage
from volumes.driving import MIB, drive
from volumes.markers import blocks_of, count_done, worker_seconds
from volumes.recipe import cg_sense, write_run_file
from volumes.row import Row
from volumes.scheduler import scheduler

TITLE = "Many tiny blocks"
WORKERS = 2
COILS, SIDE = 2, 8
READ_AT_ONCE = 100
"""Blocks in a chunk of the data."""
FLAT = 1.05
"""What the driver holds at the end, over what it held after a tenth of the blocks."""
FULL = {"dask": 10_000, "serial": 1_000}
TINY = {"dask": 100, "serial": 100}


def measure(folder: Path, tiny: bool) -> dict[str, Any]:
    numbers = TINY if tiny else FULL
    found = {"serial": one(folder, "serial", numbers["serial"])}
    with scheduler(folder / "dask", WORKERS) as there:
        others = {"scheduler": there.pid}
        found["dask"] = one(folder, "cluster", numbers["dask"], others, scheduler_file=str(there.file))
    return found


def one(folder: Path, name: str, n_blocks: int, others: dict[str, int] | None = None, **compute: Any) -> dict[str, Any]:
    """A run of so many blocks, watched."""
    source, output = folder / f"{name}-source.zarr", folder / f"{name}.zarr"
    write_slices(n_blocks, source)
    run_file = write_run_file(source, output, cg_sense(1), blocks={"x": 1}, **compute)
    driven = drive(run_file, done=lambda: count_done(output), others=others)
    blocks = blocks_of(output)
    work = sum(block.seconds for block in blocks)
    at_work = [sample for sample in driven.samples if n_blocks // 10 <= sample.done < n_blocks]
    if not at_work:
        raise RuntimeError(f"{n_blocks} blocks were done before anybody looked")
    early, late = at_work[0], at_work[-1]  # afterwards it draws a report
    return {
        "blocks": len(blocks),
        "wall_s": driven.wall_s,
        "block_ms": 1000 * work / n_blocks,
        "overhead_ms": 1000 * (sum(worker_seconds(blocks)) - work) / n_blocks,
        "early": {"blocks": early.done, **{who: held / MIB for who, held in early.held.items()}},
        "late": {"blocks": late.done, **{who: held / MIB for who, held in late.held.items()}},
    }


def write_slices(n: int, path: Path) -> None:
    """A dataset of tiny slices, each of which is a problem of its own."""
    generator, shape = np.random.default_rng(0), (COILS, n, SIDE, SIDE)
    mask = generator.random((SIDE, SIDE)) < 0.5
    values = [generator.standard_normal((*shape, 2), np.float32).view(np.complex64)[..., 0] for _ in range(2)]
    dataset = xr.Dataset(
        {
            "measurement": (("coil", "x", "kz", "ky"), values[0] * mask),
            "sensitivities": (("coil", "x", "z", "y"), values[1]),
            "mask": (("kz", "ky"), mask, {"small": True}),
        }
    )
    preimage.write_dataset(dataset, path, chunks={"x": READ_AT_ONCE})


def rows(found: dict[str, Any]) -> list[Row]:
    listed = []
    for name, who in (("dask", "a dask scheduler with two workers"), ("serial", "one process")):
        run = found[name]
        of, early, late = f"{run['blocks']} blocks, {who}", run["early"], run["late"]
        listed += [
            Row(of, "a block: read, solved, written", run["block_ms"], "ms", form=".1f"),
            Row(of, "a worker's time between two: told, marked", run["overhead_ms"], "ms", form=".1f"),
        ]
        for what in ("driver", "scheduler"):
            if what in late:
                listed += [
                    Row(of, f"{what} after {early['blocks']} blocks", early[what], "MiB", form=".1f"),
                    Row(of, f"{what} after {late['blocks']} blocks", late[what], "MiB", form=".1f"),
                ]
        listed.append(Row(of, "growth of the driver", late["driver"] / early["driver"], at_most=FLAT))
    return listed
