"""The table: what each implementation took, and the ratios that matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

Rows = Mapping[str, Mapping[str, float | None]]
"""Implementation → field → number."""

TARGET = 1.15
"""The platform may take this many times the limit's CPU seconds and memory."""
CREDIBLE = 3.0
"""The limit counts only if SigPy takes at least this many times its CPU seconds."""
CREDIBLE_CASES = ("normal", "cg-sense")
TIMES_FASTER = {"sigpy": 6.0, "bart": 6.0, "deepinv": 12.0}
"""How many times the platform's wall each peer should take at equal error, in the cases for which that is asked."""
FASTER_CASES = ("normal", "normal-large", "cg-sense", "cg-sense-large", "l1-wavelet-fista")
COLUMNS = ("wall s", "CPU s", "peak MiB", "NRMSE", "CPU / limit", "peak / limit", "wall / preimage")
WIDTH = 120
"""Of the output, whatever it is written to."""


def show(cases: Mapping[str, Mapping[str, Any]], title: str) -> None:
    """Print the table, whether the limit is one, and whether the targets were met."""
    console = Console(width=WIDTH, highlight=False)
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("case")
    table.add_column("implementation")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    results: dict[str, Rows] = {name: case["implementations"] for name, case in cases.items()}
    for case, rows in results.items():
        for i, name in enumerate(rows):
            label = (case, settings(**{name: cases[case][name] for name in ("size", "iterations")}))
            table.add_row(
                label[i] if i < len(label) else "",
                name,
                *numbers(case, rows, name),
            )
        table.add_section()
    console.print(table)
    console.print(credibility(results))
    console.print(verdict(results))
    console.print(advantage(results))


def numbers(case: str, rows: Rows, name: str) -> tuple[str, ...]:
    """What an implementation took in a case, under `COLUMNS`."""
    row = rows[name]
    return (
        number(row["wall_s"], ".3f"),
        number(row["cpu_s"], ".3f"),
        number(row["peak_mib"], ".1f"),
        number(row["nrmse"], ".2e" if case.startswith("normal") else ".5f"),
        number(ratio(rows, name, "limit", "cpu_s")),
        number(ratio(rows, name, "limit", "peak_mib")),
        number(ratio(rows, name, "preimage", "wall_s")),
    )


def settings(size: int, iterations: int) -> str:
    return f"{size}, {iterations} iterations" if iterations > 1 else str(size)


def credibility(results: Mapping[str, Rows]) -> str:
    """Whether the hand-written limit is fast enough to be called one."""
    ratios = {case: ratio(results.get(case, {}), "sigpy", "limit", "cpu_s") for case in CREDIBLE_CASES}
    known = [value for value in ratios.values() if value is not None]
    said = ", ".join(f"{case} {number(value)}" for case, value in ratios.items())
    answer = "not known" if len(known) < len(ratios) else "yes" if min(known) >= CREDIBLE else "NO"
    return f"limit credible (SigPy's CPU ≥ {CREDIBLE:g} × its own: {said}): {answer}"


def verdict(results: Mapping[str, Rows]) -> str:
    """Whether the platform stays within the target of the limit."""
    ratios = {
        f"{case} {what}": ratio(rows, "preimage", "limit", field)
        for case, rows in results.items()
        for what, field in (("CPU", "cpu_s"), ("peak", "peak_mib"))
    }
    over = [f"{what} {number(value)}" for what, value in ratios.items() if value is not None and value > TARGET]
    answer = "not known" if None in ratios.values() else "yes"
    return f"target met (preimage ≤ {TARGET:g} × limit): {'NO: ' + ', '.join(over) if over else answer}"


def advantage(results: Mapping[str, Rows]) -> str:
    """Whether the peers that took part take as many times the platform's wall as they should."""
    ratios = {
        (case, peer): ratio(results.get(case, {}), peer, "preimage", "wall_s")
        for case in FASTER_CASES
        for peer in TIMES_FASTER
    }
    known = {key: value for key, value in ratios.items() if value is not None}
    under = [f"{case} {peer} {value:.1f}" for (case, peer), value in known.items() if value < TIMES_FASTER[peer]]
    said = ", ".join(f"{peer} ≥ {times:g} ×" for peer, times in TIMES_FASTER.items())
    answer = "not known" if not known else "yes" if not under else "NO: " + ", ".join(under)
    return f"peers' wall against preimage's ({said}, in {', '.join(FASTER_CASES)}): {answer}"


def ratio(rows: Rows, of: str, to: str, field: str) -> float | None:
    """One implementation's number over another's, where both are known."""
    if of not in rows or to not in rows:
        return None
    numerator, denominator = rows[of][field], rows[to][field]
    return None if numerator is None or not denominator else numerator / denominator


def number(value: float | None, form: str = ".2f") -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else format(value, form)
