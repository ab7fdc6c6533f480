"""Measure side by side: the platform, the same by hand at the limit of the machine, and its peers.

Prints one table and writes `results.json`. Every measurement runs in a process of its own; implementations take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cases import CASES, IMPLEMENTATIONS, PEERS, Case
from machine import machine, versions
from measure import LONG, Row
from problems import PROBLEMS, save
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


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    solvers = {name: solvable(name) for name in options.implementations}
    with tempfile.TemporaryDirectory() as folder:
        results = {case.name: compare(case, solvers, Path(folder), options) for case in chosen(options)}
    record = {"machine": machine(), "versions": versions(), "threads": options.threads, "cases": results}
    options.output.write_text(json.dumps(record, indent=2) + "\n")
    show(results, f"{options.threads} threads, medians of {options.rounds}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [case.name for case in CASES]
    parser.add_argument("cases", nargs="*", metavar="case", help=f"some of {', '.join(names)} (default: all)")
    parser.add_argument("--implementations", nargs="+", choices=list(IMPLEMENTATIONS), default=list(IMPLEMENTATIONS))
    parser.add_argument("--size", type=int, help="elements along each dim, a multiple of 8 (default: each case's own)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each that is no peer (default: 5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each process (default: all cores)")
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    options = parser.parse_args(arguments)
    if unknown := set(options.cases) - set(names):
        parser.error(f"there is no case {', '.join(sorted(unknown))}: choose of {', '.join(names)}")
    if options.size is not None and (options.size < WARM_UP_SIZE or options.size % 8):
        parser.error(f"--size must be a multiple of 8 and at least {WARM_UP_SIZE}: it is {options.size}")
    if options.rounds < 1 or options.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    if not options.output.parent.is_dir():
        parser.error(f"--output: there is no folder {options.output.parent}")
    return options


def chosen(options: argparse.Namespace) -> list[Case]:
    """The cases, of the size that is wanted."""
    cases = [case for case in CASES if not options.cases or case.name in options.cases]
    return [replace(case, size=options.size or case.size) for case in cases]


def solvable(name: str) -> list[str]:
    """The cases that an implementation can solve here; none for a peer that is missing, and then it is said why."""
    done = subprocess.run([sys.executable, HERE / "measure.py", name], capture_output=True, text=True, check=False)
    if not done.returncode:
        return json.loads(done.stdout)
    if name not in PEERS:
        sys.exit(done.stderr)
    report(f"{name} is left out: {done.stderr.strip().splitlines()[-1]}")
    return []


def compare(case: Case, solvers: Mapping[str, Sequence[str]], folder: Path, options: argparse.Namespace) -> dict:
    """All implementations of one case, in turns; peers and slow ones once."""
    problem, warm_up = (made(case.problem, size, folder) for size in (case.size, WARM_UP_SIZE))

    def measured(name: str, what: str, allocator: Mapping[str, str], *flags: str) -> Row:
        report(f"{case.name}: {name}, {what}")
        environment = {**os.environ, **dict.fromkeys(THREAD_LIMITS, str(options.threads)), **WAITING, **allocator}
        command = [sys.executable, HERE / "measure.py", name, case.name, problem, warm_up, *flags]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{done.stderr}\n{case.name} of {name} failed")
        return json.loads(done.stdout)

    rounds: dict[str, list[Row]] = {name: [] for name, cases in solvers.items() if case.name in cases}
    for number in range(options.rounds):
        for name, rows in rounds.items():
            if not rows or not (name in PEERS or is_long(rows[0])):
                rows.append(measured(name, f"round {number + 1} of {options.rounds}", {}))
    results = {name: medians(rows) for name, rows in rounds.items()}
    for name, row in results.items():
        if row["peak_mib"] is not None and not is_long(row):
            row["peak_mib"] = measured(name, "memory", HAND_BACK, "--once")["peak_mib"]
    return {"size": case.size, "iterations": case.iterations, "implementations": results}


def made(problem: str, size: int, folder: Path) -> Path:
    """The folder of a problem's data."""
    path = folder / f"{problem}-{size}"
    if not path.exists():
        save(PROBLEMS[problem](size), path)
    return path


def is_long(row: Row) -> bool:
    return (row["wall_s"] or 0.0) > LONG


def medians(rows: Sequence[Row]) -> Row:
    """Of every field; None where it could not be measured."""
    columns = {field: [row[field] for row in rows] for field in rows[0]}
    return {field: None if None in column else statistics.median(column) for field, column in columns.items()}


def report(progress: str) -> None:
    print(progress, file=sys.stderr)


if __name__ == "__main__":
    main()
