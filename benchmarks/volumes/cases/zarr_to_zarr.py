"""From Zarr to Zarr by one worker, against a loop over the same blocks of data that are in memory already.

The run reads its data, hands them to its second stage by a store once the readout is transformed, looks at its
objective, writes results with checksums and digests, marks blocks as done, and ends with a report. The loop does none
of that: it transforms the readout, and solves block after block by `preimage.reconstruct`. What the run takes beyond
the loop goes with the data, whatever is done to them: reading and decompression, writing, and A(x) for the objective at
every tenth iteration and at the end. Few iterations of a cheap solver are too little for that to be a quarter.
"""

from __future__ import annotations

import resource
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

import preimage
from preimage.volumes.planning.plan import Plan
from volumes.driving import apart
from volumes.markers import blocks_of
from volumes.problem import Size, write
from volumes.recipe import Method, cg_sense, l1_wavelet_fista, write_run_file
from volumes.row import Row

TITLE = "One worker against the same in memory"
TARGET = 1.25
MEMORY = "1 GiB"
"""Of the worker; the blocks follow from it."""
WARM_UP = Size(2, 16, 16, 16)


@dataclass(frozen=True)
class Comparison:
    """One problem and its method."""

    name: str
    size: Size
    method: Method
    rounds: int


FULL = (
    Comparison("CG-SENSE, 20 iterations", Size(8, 96, 96, 96), cg_sense(20), rounds=3),
    Comparison("L1-wavelet FISTA, 50 iterations", Size(8, 96, 96, 96), l1_wavelet_fista(50), rounds=3),
    Comparison("CG-SENSE, 5 iterations", Size(8, 192, 192, 128), cg_sense(5), rounds=3),
    Comparison("CG-SENSE, 20 iterations", Size(8, 192, 192, 128), cg_sense(20), rounds=3),
)
TINY = (Comparison("CG-SENSE, 3 iterations", Size(2, 16, 24, 24), cg_sense(3), rounds=1),)


def measure(folder: Path, tiny: bool) -> dict[str, Any]:
    found = []
    for comparison in TINY if tiny else FULL:
        source = folder / f"{comparison.size}.zarr"
        numbers = apart(compare, comparison, source, folder)
        found.append({"name": comparison.name, "size": str(comparison.size), **numbers})
    return {"comparisons": found}


def rows(found: dict[str, Any]) -> list[Row]:
    listed = []
    for one in found["comparisons"]:
        of = f"{one['name']}, {one['size']}, {one['blocks']} blocks"
        more = (one["stored_cpu_s"] - one["loop_cpu_s"]) / one["kspace_mib"]
        listed += [
            Row(of, "CPU / the loop's", one["stored_cpu_s"] / one["loop_cpu_s"], at_most=TARGET),
            Row(of, "the loop", one["loop_cpu_s"], "CPU s"),
            Row(of, "the run", one["stored_cpu_s"], "CPU s"),
            Row(of, "more than the loop, a MiB of k-space", more * 1e3, "CPU ms"),
            Row(of, "relative difference of the results", one["difference"], at_most=0.0, form=".1g"),
        ]
        for number, seconds in enumerate(one["stage_seconds"], 1):
            listed.append(Row(of, f"wall of the run's blocks of stage {number}", seconds, "s"))
    return listed


def compare(comparison: Comparison, source: Path, folder: Path) -> dict[str, Any]:
    """Both in turns, in this process, after a tiny run that loads what is loaded on first use."""
    method, warm_up = comparison.method, folder / "warm-up.zarr"
    for size, path in ((WARM_UP, warm_up), (comparison.size, source)):
        if not path.exists():
            write(size, path)
    torch.set_num_threads(1)
    compute = {"memory": MEMORY, "probe": False}
    preimage.run(write_run_file(warm_up, folder / "warmed-up.zarr", method, **compute), fresh=True)
    output = folder / "stored.zarr"
    run_file = write_run_file(source, output, method, **compute)
    dataset = preimage.open_dataset(source).load()
    stored, loop = [], []
    for _ in range(comparison.rounds):
        cpu, result = cpu_seconds(preimage.run, run_file, fresh=True)
        stored.append(cpu)
        plan = Plan.of(result.attrs["preimage"])
        cpu, expected = cpu_seconds(in_memory, dataset, method, plan)
        loop.append(cpu)
    difference = result["estimate"].values - expected
    return {
        "stored_cpu_s": statistics.median(stored),
        "loop_cpu_s": statistics.median(loop),
        "rounds": comparison.rounds,
        "kspace_mib": comparison.size.nbytes / 2**20,
        "blocks": plan.solve.n_blocks,
        "stage_seconds": [
            sum(block.seconds for block in blocks_of(output) if block.stage == stage)
            for stage in range(len(plan.stages))
        ],
        "difference": float(np.linalg.norm(difference) / np.linalg.norm(expected)),
    }


def in_memory(dataset: xr.Dataset, method: Method, plan: Plan) -> np.ndarray:
    """The estimate (x, z, y), solved in the blocks of a plan."""
    ready = preimage.make("preparation.readout-ifft", dataset).apply(dataset, xr.Dataset())
    estimate = np.empty([dataset.sizes[dim] for dim in ("x", "z", "y")], np.complex64)
    for region in plan.solve.regions():
        slab = {dim: slice(*bounds) for dim, bounds in region.items()}
        found = preimage.reconstruct(
            ready.isel(slab), operator="cartesian-mri", normalise=False, device="cpu", **method
        )
        estimate[slab.get("x", slice(None))] = found.transpose("x", "z", "y").values
    return estimate


def cpu_seconds(function: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[float, Any]:
    """User and system time of all threads of this process, and what the function returns."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    result = function(*arguments, **named)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, result
