"""Measure volumes that go from Zarr to Zarr: against memory, with two workers, beyond memory, and at scale.

Prints one table with what is asked for, and writes `results.json`. A case that fails is reported, and the others go on.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import machine, versions

from volumes.cases import BY_NAME as CASES
from volumes.table import show

HERE = Path(__file__).parent
PACKAGES = ("preimage", "torch", "numpy", "zarr", "xarray", "dask")


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    results = {name: measured(name, options.tiny) for name in options.cases or CASES}
    record = {"machine": machine(), "versions": versions(PACKAGES), "tiny": options.tiny, "cases": results}
    options.output.write_text(json.dumps(record, indent=2) + "\n")
    show(results)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"some of {', '.join(CASES)} (default: all)")
    parser.add_argument("--tiny", action="store_true", help="sizes that take seconds, to see that all of it runs")
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    options = parser.parse_args(arguments)
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"there is no case {', '.join(sorted(unknown))}: choose of {', '.join(CASES)}")
    if not options.output.parent.is_dir():
        parser.error(f"--output: there is no folder {options.output.parent}")
    return options


def measured(name: str, tiny: bool) -> dict[str, Any]:
    """What a case found and how long it took, or why it failed."""
    print(f"{name}: {CASES[name].TITLE}", file=sys.stderr)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="preimage-bench-") as folder:
        try:
            found = {"found": CASES[name].measure(Path(folder), tiny)}
        except Exception as error:
            traceback.print_exc()
            found = {"failed": f"{type(error).__name__}: {error}"}
    return {**found, "took_s": round(time.perf_counter() - began, 1)}


if __name__ == "__main__":
    main()
