"""The page: title, summary, pictures, convergence, plan and record, from what a run has stored."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from preimage.errors import RunError
from preimage.report.charts import converged, convergence
from preimage.report.figures import unknown
from preimage.report.markup import Markup, element, joined, table
from preimage.report.run_file import run_file
from preimage.report.tables import STAGES, stage_rows, summary_table
from preimage.report.view import Freedom
from preimage.units import format_bytes
from preimage.volumes import stores
from preimage.volumes.markers import Beside
from preimage.volumes.planning.plan import Plan

STYLE = Path(__file__).with_name("style.css")
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing that is not in it."""
DEFAULT = ("likelihood", "gaussian")
"""A part that goes without saying in a title."""


def page(output: Path, source: xr.Dataset | None) -> str:
    """The report of a finished run as an HTML document.

    Parameters
    ----------
    output : the store of the run.
    source : the loader's dataset, or None; its truths are those with the dims and the shape of an estimate.
    """
    record = stores.read_attributes(output)
    plan = Plan.of(record)
    result = stores.open_dataset(output)
    facts = _facts(output, plan)
    title = _title(record)
    sections: dict[str, Iterable[Markup]] = {
        "Summary": [_summary(record)],
        "Estimate": _estimates(result, plan, source, Freedom.of_run(record, facts[0], plan.solve)),
        "Convergence": _convergence(result["history"], [int(fact["iterations"]) for fact in facts]),
        "Plan": _plan(plan),
        "Record": _record(record),
    }
    body = [
        element("header", element("h1", title), element("p", str(output.resolve()), class_="quiet")),
        *(_section(heading, content) for heading, content in sections.items()),
        _footer(record),
    ]
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} – {output.name}"),
        element("style", Markup(STYLE.read_text(encoding="utf-8"))),
    ]
    whole = element("html", element("head", *head), element("body", element("main", *body)), lang="en")
    return f"<!DOCTYPE html>\n{whole}\n"


def _facts(output: Path, plan: Plan) -> list[Mapping[str, Any]]:
    """What the markers of the solved blocks say.

    Raises
    ------
    RunError : a marker is gone.
    """
    beside, stage = Beside(output), len(plan.stages) - 1
    found = [beside.read(stage, block) for block in range(plan.solve.n_blocks)]
    if None in found:
        raise RunError(f"{beside.folder} is not whole: run with --fresh for a report")
    return [fact for fact in found if fact is not None]


def _section(heading: str, content: Iterable[str]) -> Markup:
    label = heading.lower()
    return element("section", element("h2", heading, id=label), *content, aria_labelledby=label)


def _title(record: Mapping[str, Any]) -> str:
    """The methods that decide the result: what measures, what is known, what solves."""
    named = dict.fromkeys((part["kind"], part["name"]) for part in record["parts"])
    return " · ".join(name for kind, name in named if kind not in ("loader", "preparation") and (kind, name) != DEFAULT)


def _summary(record: Mapping[str, Any]) -> Markup:
    titles, rows = summary_table(record["summary"])
    return table(titles, rows, named=len(rows) > 1)


def _estimates(result: xr.Dataset, plan: Plan, source: xr.Dataset | None, freedom: Freedom) -> Iterator[Markup]:
    """Every unknown; the headings of several are a level deeper."""
    several = len(plan.solve.outputs) > 1
    for output in plan.solve.outputs:
        name = output.removeprefix("estimate_")
        if several:
            yield element("h3", name)
        truth = _truth(source, output, result[output])
        yield unknown(name, result[output], truth, result.attrs, freedom, "h4" if several else "h3")


def _truth(source: xr.Dataset | None, output: str, estimate: xr.DataArray) -> xr.DataArray | None:
    """The truth of an unknown: `truth` of `estimate`, `truth_image` of `estimate_image`."""
    name = output.replace("estimate", "truth", 1)
    if source is None or name not in source.variables or source[name].sizes != estimate.sizes:
        return None
    return source[name]


def _convergence(history: xr.DataArray, last: Sequence[int]) -> list[Markup]:
    """Curves where there is more than one point, and the numbers at their ends."""
    iterations, curves = converged(history.values, history.attrs["iterations"], last)
    names = [str(name) for name in history.attrs["quantities"]]
    drawn = [i for i in range(len(names)) if np.isfinite(curves[..., i]).any()]
    told = f"{_count(len(last), 'block')}, {_iterations(last)}."
    if history.attrs.get("of_scaled_data"):
        told += " Quantities are those of the data divided by the run's scale."
    parts = [element("p", told, class_="quiet")]
    if len(iterations) > 1 and drawn:
        shown = [names[i] for i in drawn]
        alt = f"{' and '.join(shown)} against the iteration; numbers are in the table below"
        chart = element("img", src=convergence(iterations, curves[..., drawn], shown), alt=alt, class_="chart")
        band = "median over blocks, in a band from the lowest to the highest"
        parts.append(element("figure", chart, *([element("figcaption", band)] if len(last) > 1 else [])))
    median = ", median" if len(last) > 1 else ""
    ends: dict[str, tuple[Callable[[Any], Any], int]]
    ends = {f"at {iterations[0]}{median}": (np.median, 0), f"at {iterations[-1]}{median}": (np.median, -1)}
    if len(last) > 1:
        ends |= {"lowest": (np.min, -1), "highest": (np.max, -1)}
    rows = [(names[i], *(_told(of, curves[:, at, i]) for of, at in ends.values())) for i in drawn]
    return [*parts, table(("quantity", *ends), rows)] if rows else parts


def _iterations(last: Sequence[int]) -> str:
    if min(last) < max(last):
        return f"{min(last)} to {max(last)} iterations each"
    return _count(last[0], "iteration") + (" each" if len(last) > 1 else "")


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _told(of: Callable[[Any], Any], values: Any) -> str:
    """A number of those values that are known; none where none is."""
    known = values[~np.isnan(values)]
    return f"{of(known):.4g}" if known.size else ""


def _plan(plan: Plan) -> list[Markup]:
    told = [f"one worker: {format_bytes(plan.memory)}, {_count(plan.threads, 'thread')}"]
    if plan.scalars:
        told.append(f"numbers of the run, reduced first: {', '.join(plan.scalars)}")
    notes = element("ul", *(element("li", note) for note in (*told, *plan.notes)))
    return [table(STAGES, stage_rows(plan)), notes]


def _record(record: Mapping[str, Any]) -> list[Markup]:
    """What made the result."""
    versions = [(name, str(version)) for name, version in record["versions"].items()]
    machine = [(name, str(record[name])) for name in ("device", "threads", "seed")]
    scalars = [(name, f"{value:.10g}") for name, value in record.get("scalars", {}).items()]
    origin = ("kind", "name", "distribution", "version", "entry_point")
    parts = [[str(part.get(name, "")) for name in origin] for part in record["parts"]]
    inputs = [
        (name, element("span", str(found["path"]), class_="path"), _size(found), str(found.get("digest", "")))
        for name, found in record["identity"]["inputs"].items()
    ]
    tables: dict[str, tuple[Sequence[str], Sequence[Sequence[str]]]] = {
        "Parts": (("kind", "name", "distribution", "version", "entry point"), parts),
        "Inputs": (("setting", "path", "size", "digest"), inputs),
        "Numbers of the run": (("name", "value"), scalars),
        "Computed by": (("what", "value"), machine + versions),
    }
    filled = ([element("h3", title), table(*content)] for title, content in tables.items() if content[1])
    run = [element("h3", "Run file, resolved"), element("pre", run_file(record["recipe"]))]
    return [*run, *itertools.chain.from_iterable(filled)]


def _size(found: Mapping[str, Any]) -> str:
    if found.get("missing"):
        return "missing"
    return f"{format_bytes(found['bytes'])} in {found['files']} files"


def _footer(record: Mapping[str, Any]) -> Markup:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return element("footer", element("p", joined([f"Written by preimage {record['versions']['preimage']}, {now}."])))
