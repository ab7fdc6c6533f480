"""What a run costs, from Zarr to Zarr, against its slices, its coils, its iterations and its blocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import preimage
from volumes.cases.zarr_to_zarr import cpu_seconds
from volumes.driving import apart
from volumes.problem import Size, write
from volumes.recipe import cg_sense, write_run_file
from volumes.row import Row

TITLE = "Cost against size"
STRAIGHT = 0.1
"""How far a cost may lie from the straight line through all of a series, as a share of the largest."""
ROUNDS = 2
"""Of each; the smaller counts, as what else a machine does only ever adds."""

FULL = {
    "base": {"size": (8, 48, 96, 96), "iterations": 20, "block": 8},
    "slices": (24, 48, 96),
    "coils": (4, 8, 16),
    "iterations": (10, 20, 40),
    "blocks": (3, 6, 12),
}
TINY = {
    "base": {"size": (2, 8, 24, 24), "iterations": 2, "block": 8},
    "slices": (8, 16),
    "coils": (2, 4),
    "iterations": (2, 4),
    "blocks": (1, 2),
}


def measure(folder: Path, tiny: bool) -> dict[str, Any]:
    settings = TINY if tiny else FULL
    return {"base": settings["base"], "series": apart(costs, folder, settings)}


def costs(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Series → lengths, and the CPU seconds of each."""
    torch.set_num_threads(1)
    size, iterations, block = Size(*settings["base"]["size"]), *(settings["base"][n] for n in ("iterations", "block"))

    def cost(size: Size, iterations: int, block: int) -> float:
        source, output = folder / f"{size}.zarr", folder / "output.zarr"
        if not source.exists():
            write(size, source)
        run_file = write_run_file(source, output, cg_sense(iterations), blocks={"x": block})
        return min(cpu_seconds(preimage.run, run_file, fresh=True)[0] for _ in range(ROUNDS))

    cost(size, 1, size.x)  # loads what is loaded on first use
    variants = {
        "slices": lambda n: cost(replace(size, x=n), iterations, block),
        "coils": lambda n: cost(replace(size, coils=n), iterations, block),
        "iterations": lambda n: cost(size, n, block),
        "blocks": lambda n: cost(size, iterations, size.x // n),
    }
    return {
        name: {"lengths": list(settings[name]), "cpu_s": [measured(n) for n in settings[name]]}
        for name, measured in variants.items()
    }


def line(series: dict[str, Any]) -> tuple[float, float, float]:
    """Fixed cost and cost of one more of the straight line that fits best, and the largest departure from it."""
    n, cpu = np.asarray(series["lengths"], float), np.asarray(series["cpu_s"])
    each, fixed = np.polyfit(n, cpu, 1)
    return float(fixed), float(each), float(np.abs(fixed + each * n - cpu).max() / cpu.max())


def rows(found: dict[str, Any]) -> list[Row]:
    listed = []
    for name, series in found["series"].items():
        _, each, departure = line(series)
        of = f"{', '.join(map(str, series['lengths']))} {name}"
        listed += [
            Row(of, "largest departure from a straight line / largest cost", departure, at_most=STRAIGHT),
            Row(of, "one more", 1000 * each, "CPU ms", form=".1f"),
        ]
    return listed
