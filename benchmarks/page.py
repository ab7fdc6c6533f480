"""Write `docs/performance.md` from what was measured: `results.json` here, and that of `volumes/`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from table import COLUMNS, CREDIBLE, CREDIBLE_CASES, FASTER_CASES, TARGET, TIMES_FASTER, numbers, ratio, settings
from volumes.cases import BY_NAME
from volumes.plot import draw
from volumes.row import HEADS, N_TEXTS, cells

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
PICTURE = "images/cost.png"

BEGIN = """\
# Performance

What the platform takes, beside the same mathematics written by hand for the machine and beside other packages, and how
it goes on volumes that are read from Zarr and written to Zarr. `make bench` measures all of it and writes this page;
`benchmarks/README.md` says how it is measured, and how to read it.
"""
TINY = "**Measured in tiny sizes, to see that all of it runs: the numbers mean nothing.**\n"
IN_MEMORY = f"""\
## In memory

Through the public interface, as one block. *limit* is the same by hand in plain torch, sharing nothing with the
platform. Peak memory is what was held beyond the data. Targets: CPU and peak at most {TARGET:g} times the limit's; the
wall of SigPy and BART at least {TIMES_FASTER["sigpy"]:g} times, that of deepinv {TIMES_FASTER["deepinv"]:g} times
preimage's in {", ".join(FASTER_CASES)}.
"""
NOT_MEASURED = "Not measured.\n"
VOLUMES = """\
## From Zarr to Zarr

Multi-coil Cartesian MRI with a fully sampled readout, on one machine. A run reads k-space, transforms the readout in a
first stage, and solves slabs along it in a second.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", type=Path, default=HERE / "results.json", help="results of benchmarks/run.py")
    parser.add_argument("--volumes", type=Path, default=HERE / "volumes" / "results.json", help="of volumes/run.py")
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder of the page")
    options = parser.parse_args(arguments)
    memory, volumes = read(options.memory), read(options.volumes)
    cost = volumes.get("cases", {}).get("cost", {}).get("found")
    if cost:
        (options.docs / PICTURE).parent.mkdir(exist_ok=True)
        draw(cost["series"], options.docs / PICTURE)
    (options.docs / "performance.md").write_text("\n".join(page(memory, volumes)))


def read(path: Path) -> dict[str, Any]:
    """Results; none where nothing was measured, or by a version that wrote other ones."""
    record = json.loads(path.read_text()) if path.exists() else {}
    return record if "cases" in record else {}


def page(memory: Mapping[str, Any], volumes: Mapping[str, Any]) -> Iterator[str]:
    yield BEGIN
    if volumes.get("tiny"):
        yield TINY
    missed = [
        *missed_in_memory(memory.get("cases", {})),
        *missed_from_zarr_to_zarr(volumes.get("cases", {})),
    ]
    if missed:
        yield "Of what is asked for, these were missed:\n"
        yield "\n".join(f"- {one}" for one in missed) + "\n"
    yield IN_MEMORY
    yield from in_memory(memory)
    yield VOLUMES
    yield from from_zarr_to_zarr(volumes)
    yield "## Where\n"
    for what, record in (("In memory", memory), ("From Zarr to Zarr", volumes)):
        if record:
            yield f"{what}: {where(record)}\n"


def in_memory(record: Mapping[str, Any]) -> Iterator[str]:
    if not record:
        yield NOT_MEASURED
        return
    yield "\n".join(markdown(("case", "implementation", *COLUMNS), in_memory_rows(record["cases"]), 2))
    of = {name: record["cases"].get(name, {}).get("implementations", {}) for name in CREDIBLE_CASES}
    credible = [ratio(rows, "sigpy", "limit", "cpu_s") for rows in of.values()]
    if None not in credible:
        yield f"The limit is one: SigPy takes {min(credible):.1f} times its CPU or more; {CREDIBLE:g} are asked for.\n"


def in_memory_rows(cases: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, case in cases.items():
        rows = case["implementations"]
        what = f"{name}, {settings(case['size'], case['iterations'])}"
        for i, implementation in enumerate(rows):
            yield ("" if i else what, implementation, *numbers(name, rows, implementation))


def missed_in_memory(cases: Mapping[str, Any]) -> Iterator[str]:
    for name, case in cases.items():
        rows = case["implementations"]
        for what, field in (("CPU", "cpu_s"), ("peak memory", "peak_mib")):
            found = ratio(rows, "preimage", "limit", field)
            if found is not None and found > TARGET:
                yield f"{name}: {what} / the limit's is {found:.2f}, {found - TARGET:.2f} over {TARGET:g}"
        for peer, times in TIMES_FASTER.items():
            found = ratio(rows, peer, "preimage", "wall_s") if name in FASTER_CASES else None
            if found is not None and found < times:
                yield f"{name}: the wall of {peer} / preimage's is {found:.1f}, {times - found:.1f} under {times:g}"


def missed_from_zarr_to_zarr(cases: Mapping[str, Any]) -> Iterator[str]:
    for name, result in cases.items():
        case = BY_NAME[name]
        if "failed" in result:
            yield f"{case.TITLE}: failed"
            continue
        for row in case.rows(result["found"]):
            if row.verdict.startswith("missed"):
                yield f"{row.of}: {row.what} is {row.value}, {row.verdict.removeprefix('missed: ')} {row.target[2:]}"


def from_zarr_to_zarr(record: Mapping[str, Any]) -> Iterator[str]:
    if not record:
        yield NOT_MEASURED
        return
    for name, result in record["cases"].items():
        case = BY_NAME[name]
        yield f"### {case.TITLE}\n"
        yield f"{case.__doc__.strip()}\n"
        if "failed" in result:
            yield f"**Failed: {result['failed']}**\n"
            continue
        yield "\n".join(markdown(HEADS, cells(case.rows(result["found"])), N_TEXTS))
        if name == "cost":
            yield f"![CPU seconds against slices, coils, iterations and blocks, with straight lines]({PICTURE})\n"


def markdown(heads: Sequence[str], rows: Iterator[tuple[str, ...]], left: int) -> Iterator[str]:
    """A table; columns after the first so many are numbers."""
    yield f"| {' | '.join(heads)} |"
    yield f"| {' | '.join('---' if i < left else '---:' for i in range(len(heads)))} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def where(record: Mapping[str, Any]) -> str:
    """The machine and the versions."""
    machine = record["machine"]
    memory = f"{int(machine['memory_kib']) / 2**20:.0f} GiB" if machine["memory_kib"] else "memory unknown"
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return f"{machine['processor']}, {machine['cores']} cores, {memory}, {machine['system']}; {versions}."


if __name__ == "__main__":
    main()
