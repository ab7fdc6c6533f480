"""The same by BART's command line, which reads and writes files, and transforms in three dims.

Its CPU time is that of its processes; how much memory they take is not measured. It chooses the number of levels of
its wavelets itself.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from cases import INNER_ITERATIONS, PENALTY, Case, Run
from numpy.typing import NDArray
from problems import load

CG_ITERATIONS = 40
"""Of its ADMM, all together, after which it is as near to the minimum as the others."""
RUNS_PROGRAMS = True
BART = shutil.which("bart")
if BART is None:
    raise ImportError("there is no program `bart`: apt-get install bart")

Image = NDArray[np.complex64]


def cg_sense(folder: Path, case: Case) -> Run:
    return solved(folder, "-l2", "-r", str(case.weight), "-i", str(case.iterations))


def l1_wavelet_fista(folder: Path, case: Case) -> Run:
    return solved(folder, "-R", f"W:7:0:{case.weight}", "-n", "-i", str(case.iterations), "-s", "1")


def tv_admm(folder: Path, case: Case) -> Run:
    settings = ("-i", str(CG_ITERATIONS), "-C", str(INNER_ITERATIONS), "-u", str(PENALTY / 12))  # ‖D‖² ≤ 12
    return solved(folder, "-R", f"T:7:0:{case.weight}", *settings)


def solved(folder: Path, *settings: str) -> Run:
    """`bart pics`, without the scaling of data that it does by itself: λ then means the same for all."""
    scratch = tempfile.TemporaryDirectory()
    for name in ("kspace", "sensitivities"):
        write(Path(scratch.name, name), np.moveaxis(load(folder, name), 0, -1))

    def run() -> Image:
        command = [BART, "pics", "-w", "1", *settings, "kspace", "sensitivities", "image"]
        subprocess.run(command, cwd=scratch.name, capture_output=True, check=True)
        return read(Path(scratch.name, "image"))

    return run


def write(file: Path, array: Image) -> None:
    """BART's format: the lengths as text, and the numbers with the first dim running fastest."""
    file.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, array.shape)) + "\n")
    array.ravel(order="F").tofile(file.with_suffix(".cfl"))


def read(file: Path) -> Image:
    lengths = [int(n) for n in file.with_suffix(".hdr").read_text().splitlines()[1].split()]
    return np.fromfile(file.with_suffix(".cfl"), np.complex64).reshape(lengths, order="F").squeeze()
