"""Measure one case of one implementation, in a process of its own.

python measure.py IMPLEMENTATION                                     which cases it can solve
python measure.py IMPLEMENTATION CASE PROBLEM WARM-UP [--once]       what one of them takes
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import re
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from cases import CASES, IMPLEMENTATIONS, Case, Implementation
from problems import load

MIB = 2**20
LONG = 5.0
"""Seconds of a run that is measured once, the first time: what is slow only then does not matter beside it."""
WARM_UP_ITERATIONS = 2

Row = dict[str, float | None]
"""Field → number."""


def measure(case: Case, implementation: Implementation, problem: Path, warm_up: Path, *, once: bool) -> Row:
    """Wall and CPU seconds of one run, peak memory of this process over the data, and the error of what came out."""
    implementation(warm_up, replace(case, iterations=WARM_UP_ITERATIONS))()
    run = implementation(problem, case)
    forget_the_past()
    before = memory("VmRSS")
    # The first time pages are touched and tables made, which takes up to a third longer, and varies as much.
    wall, cpu, estimate = timed(run, 1)
    peak = memory("VmHWM")
    if not once and wall < LONG:
        del estimate
        wall, cpu, estimate = timed(run, case.repeats)
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "peak_mib": None if before is None or peak is None else (peak - before) / MIB,
        "nrmse": nrmse(estimate, load(problem, case.truth), up_to_phase=case.up_to_phase),
    }


def timed(run: Callable[[], Any], repeats: int) -> tuple[float, float, Any]:
    """Wall and CPU seconds of one of several runs, and the last result."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    for _ in range(repeats):
        estimate = None  # let go of the last one first
        estimate = run()
    return (time.perf_counter() - wall) / repeats, (cpu_seconds() - cpu) / repeats, estimate


def cpu_seconds() -> float:
    """User and system time of all threads of this process, and of the programs that it has run."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


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


def nrmse(estimate: Any, truth: Any, *, up_to_phase: bool) -> float:
    """‖estimate − truth‖ / ‖truth‖ in double precision, with the global phase that fits best where it is free."""
    estimate = np.asarray(estimate).astype(truth.dtype)
    if up_to_phase:
        estimate = estimate * np.exp(1j * np.angle(np.vdot(estimate, truth)))
    return float(np.linalg.norm(estimate - truth) / np.linalg.norm(truth))


def solvable(module: ModuleType) -> list[str]:
    """The names of the cases that an implementation has a function for."""
    return [case.name for case in CASES if hasattr(module, case.function)]


def main(implementation_name: str, case_name: str = "", problem: str = "", warm_up: str = "", once: str = "") -> None:
    module = importlib.import_module(IMPLEMENTATIONS[implementation_name])
    if not case_name:
        json.dump(solvable(module), sys.stdout)
        return
    case = next(case for case in CASES if case.name == case_name)
    row = measure(case, getattr(module, case.function), Path(problem), Path(warm_up), once=bool(once))
    if getattr(module, "RUNS_PROGRAMS", False):
        row["peak_mib"] = None  # theirs, not this process's
    json.dump(row, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
