"""Measure side by side: the platform, the same by hand at the limit of the machine, and its peers.

Prints one table and writes `results.json`. Every measurement runs in a process of its own; implementations take turns.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import data
from cases import CASES, IMPLEMENTATIONS
from measure import PROBLEM, WARM_UP
from table import show

HERE = Path(__file__).parent
WARM_UP_SIZE = 24
THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
WAITING = {"GOMP_SPINCOUNT": "10000"}
"""Threads that wait for each other go to sleep after some ten microseconds. A quiet machine is as fast as with the
default; on a busy one, where one of them may not run for long, the other would burn more CPU than the work takes."""
HAND_BACK = {"MALLOC_MMAP_THRESHOLD_": str(128 * 1024)}
"""How glibc hands back every large array at once. Peak memory is then what is held, and not the luck of how the heap
fragmented, which is as large; but it costs time, so memory is measured apart."""
PEERS = ("sigpy",)
"""Packages that may be missing."""

Row = dict[str, float | None]
"""Field → number."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    implementations = installed(options.implementations)
    with tempfile.TemporaryDirectory() as folder:
        for name, size in ((PROBLEM, options.size), (WARM_UP, WARM_UP_SIZE)):
            (Path(folder) / name).mkdir()
            data.make(size).save(Path(folder) / name)
        results = {case: compare(case, implementations, folder, options) for case in options.cases}
    options.output.write_text(json.dumps(results, indent=2) + "\n")
    show(results, f"{data.N_COILS} × {options.size}³, {options.threads} threads, medians of {options.rounds}")


def compare(case: str, implementations: Sequence[str], folder: str, options: argparse.Namespace) -> dict[str, Row]:
    """All implementations of one case, in turns."""
    rounds: dict[str, list[Row]] = {name: [] for name in implementations}
    for number in range(options.rounds):
        for name, rows in rounds.items():
            report(f"{case}: {name}, round {number + 1} of {options.rounds}")
            rows.append(measured(case, name, folder, options.threads, {}))
    results = {name: medians(rows) for name, rows in rounds.items()}
    for name, row in results.items():
        report(f"{case}: {name}, memory")
        row["peak_mib"] = measured(case, name, folder, options.threads, HAND_BACK)["peak_mib"]
    return results


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cases = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="+", choices=cases, default=cases)
    parser.add_argument("--implementations", nargs="+", choices=list(IMPLEMENTATIONS), default=list(IMPLEMENTATIONS))
    parser.add_argument("--size", type=int, default=96, help="voxels along each dim, a multiple of 8 (default: 96)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (default: 5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each process (default: all cores)")
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    options = parser.parse_args(arguments)
    if options.size < WARM_UP_SIZE or options.size % 8:
        parser.error(f"--size must be a multiple of 8 and at least {WARM_UP_SIZE}: it is {options.size}")
    if options.rounds < 1 or options.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    if not options.output.parent.is_dir():
        parser.error(f"--output: there is no folder {options.output.parent}")
    return options


def installed(implementations: Sequence[str]) -> list[str]:
    """Those that can run here; the others are named."""
    missing = [name for name in implementations if name in PEERS and importlib.util.find_spec(name) is None]
    for name in missing:
        print(f"{name} is not installed and is left out: pip install {name}", file=sys.stderr)
    return [name for name in implementations if name not in missing]


def measured(case: str, implementation: str, folder: str, threads: int, allocator: Mapping[str, str]) -> Row:
    """One measurement, in a process of its own."""
    environment = {**os.environ, **dict.fromkeys(THREAD_LIMITS, str(threads)), **WAITING, **allocator}
    command = [sys.executable, str(HERE / "measure.py"), case, implementation, folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stderr}\n{case} of {implementation} failed")
    return json.loads(done.stdout)


def medians(rows: Sequence[Row]) -> Row:
    """Of every field; None where it could not be measured."""
    columns = {field: [row[field] for row in rows] for field in rows[0]}
    return {field: None if None in column else statistics.median(column) for field, column in columns.items()}


def report(progress: str) -> None:
    print(progress, file=sys.stderr)


if __name__ == "__main__":
    main()
