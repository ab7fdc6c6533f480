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
from collections.abc import Sequence
from pathlib import Path

import data
from cases import CASES, IMPLEMENTATIONS
from measure import PROBLEM, WARM_UP
from table import show

HERE = Path(__file__).parent
FIELDS = ("wall_s", "cpu_s", "peak_mib", "nrmse")
WARM_UP_SIZE = 24
THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
PEERS = ("sigpy",)
"""Packages that may be missing."""

Results = dict[str, dict[str, dict[str, float | None]]]
"""Case → implementation → field."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    implementations = installed(options.implementations)
    with tempfile.TemporaryDirectory() as folder:
        for name, size in ((PROBLEM, options.size), (WARM_UP, WARM_UP_SIZE)):
            (Path(folder) / name).mkdir()
            data.make(size).save(Path(folder) / name)
        results: Results = {}
        for case in options.cases:
            rounds: dict[str, list[dict[str, float]]] = {name: [] for name in implementations}
            for number in range(options.rounds):
                for name in implementations:
                    print(f"{case}: {name}, round {number + 1} of {options.rounds}", file=sys.stderr)
                    rounds[name].append(measured(case, name, folder, options.threads))
            results[case] = {name: medians(rounds[name]) for name in implementations}
    options.output.write_text(json.dumps(results, indent=2) + "\n")
    show(results, f"{data.N_COILS} × {options.size}³, {options.threads} threads, medians of {options.rounds}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cases = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="+", choices=cases, default=cases)
    parser.add_argument("--implementations", nargs="+", choices=list(IMPLEMENTATIONS), default=list(IMPLEMENTATIONS))
    parser.add_argument("--size", type=int, default=96, help="voxels along each dim, a multiple of 8 (default: 96)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (default: 3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each process (default: all cores)")
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    options = parser.parse_args(arguments)
    if options.size < WARM_UP_SIZE or options.size % 8:
        parser.error(f"--size must be a multiple of 8 and at least {WARM_UP_SIZE}: it is {options.size}")
    if options.rounds < 1 or options.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    return options


def installed(implementations: Sequence[str]) -> list[str]:
    """Those that can run here; the others are named."""
    missing = [name for name in implementations if name in PEERS and importlib.util.find_spec(name) is None]
    for name in missing:
        print(f"{name} is not installed and is left out: pip install {name}", file=sys.stderr)
    return [name for name in implementations if name not in missing]


def measured(case: str, implementation: str, folder: str, threads: int) -> dict[str, float]:
    """One measurement, in a process of its own."""
    limits = dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads)
    )
    command = [sys.executable, str(HERE / "measure.py"), case, implementation, folder]
    done = subprocess.run(command, env={**os.environ, **limits}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stderr}\n{case} of {implementation} failed")
    return json.loads(done.stdout)


def medians(rounds: Sequence[dict[str, float]]) -> dict[str, float | None]:
    """Of every field; None where it could not be measured."""
    values = {field: [one[field] for one in rounds] for field in FIELDS}
    return {field: None if None in found else statistics.median(found) for field, found in values.items()}


if __name__ == "__main__":
    main()
