"""Measure one case of one implementation, in a process of its own: `python measure.py CASE IMPLEMENTATION FOLDER`."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from cases import CASES, IMPLEMENTATIONS, Case, Implementation
from data import load

MIB = 2**20
PROBLEM, WARM_UP = "problem", "warm-up"
"""Folders of the problem, and of a tiny one that is solved before so that imports, threads and tables are there."""


def measure(case: Case, implementation: Implementation, folder: Path) -> dict[str, float | None]:
    """Wall and CPU seconds of one run, peak memory over the data, and the error of what came out."""
    implementation(folder / WARM_UP)()
    run = implementation(folder / PROBLEM)
    forget_the_past()
    before = memory("VmRSS")
    run()  # the first time pages are touched and tables made, which takes up to a third longer, and varies as much
    cpu, wall = cpu_seconds(), time.perf_counter()
    for _ in range(case.repeats):
        estimate = None  # let go of the last one first
        estimate = run()
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    peak = memory("VmHWM")
    return {
        "wall_s": wall / case.repeats,
        "cpu_s": cpu / case.repeats,
        "peak_mib": None if before is None or peak is None else (peak - before) / MIB,
        "nrmse": nrmse(estimate, load(folder / PROBLEM, case.truth)),
    }


def cpu_seconds() -> float:
    """User and system time of all threads of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def memory(what: str) -> int | None:
    """Bytes of resident memory, now (VmRSS) or at most (VmHWM); None where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = re.search(rf"{what}:\s+(\d+) kB", status)
    return None if found is None else int(found[1]) * 1024


def forget_the_past() -> None:
    """Hand free memory back to the system, and forget the peak so far, where the system lets us."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def nrmse(estimate: Any, truth: Any) -> float:
    """‖estimate − truth‖ / ‖truth‖ in double precision."""
    error = np.asarray(estimate).astype(np.complex128) - truth
    return float(np.linalg.norm(error) / np.linalg.norm(truth))


def main(case_name: str, implementation_name: str, folder: str) -> None:
    case = next(case for case in CASES if case.name == case_name)
    module = importlib.import_module(IMPLEMENTATIONS[implementation_name])
    json.dump(measure(case, getattr(module, case.function), Path(folder)), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
