"""The plan of a volume of a terabyte, from headers alone: nothing of it is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr

from volumes.driving import drive
from volumes.recipe import cg_sense, write_run_file
from volumes.row import Row

TITLE = "The plan of a terabyte"
COILS, X, Z, Y = 64, 1024, 1024, 2048
MEMORY = "64 GiB"
SECONDS = 30.0
"""What "in seconds" is taken to mean, the start of processes and the probe of one block included."""


def measure(folder: Path, tiny: bool) -> dict[str, Any]:
    source = folder / "source.zarr"
    write_headers(source)
    driven = drive(write_run_file(source, folder / "output.zarr", cg_sense(10), memory=MEMORY), "--dry-run")
    return {"terabytes": 8 * COILS * X * Z * Y / 1e12, "wall_s": driven.wall_s, "cpu_s": driven.cpu_s}


def write_headers(path: Path) -> None:
    """A dataset without a chunk."""
    group = zarr.create_group(path, zarr_format=3)

    def array(name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str, dims: tuple[str, ...]) -> None:
        group.create_array(name, shape=shape, chunks=chunks, dtype=dtype, dimension_names=dims)

    array("measurement", (COILS, X, Z, Y), (1, X, 16, 64), "complex64", ("coil", "kx", "kz", "ky"))
    array("sensitivities", (COILS, X, Z, Y), (1, 16, 128, 128), "complex64", ("coil", "x", "z", "y"))
    array("mask", (Z, Y), (Z, Y), "bool", ("kz", "ky"))


def rows(found: dict[str, Any]) -> list[Row]:
    of = f"{found['terabytes']:.1f} TB of k-space"
    return [
        Row(of, "from start to end", found["wall_s"], "s", at_most=SECONDS, form=".1f"),
        Row(of, "CPU", found["cpu_s"], "CPU s", form=".1f"),
    ]
