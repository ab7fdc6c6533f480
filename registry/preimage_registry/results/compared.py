"""The runs that are compared, and that they can be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import xarray as xr

from preimage.errors import DataError, RequestError
from preimage.hookspecs import KINDS
from preimage.record import changed_inputs
from preimage.report.view import Freedom
from preimage.volumes.stores import open_dataset
from preimage_registry.registry import Registry
from preimage_registry.results.stored import StoredRun
from preimage_registry.runfile import Recipe
from preimage_registry.runfile.recipe import NO_EFFECT


@dataclass(frozen=True)
class Compared:
    """One of the runs.

    Attributes
    ----------
    name : as short as it can be among the others.
    run : finished.
    """

    name: str
    run: StoredRun

    @property
    def record(self) -> Mapping[str, Any]:
        """The run's."""
        return self.run.record

    @property
    def summary(self) -> Mapping[str, Any]:
        """Its numbers."""
        return self.record["summary"]  # type: ignore[no-any-return]

    @cached_property
    def result(self) -> xr.Dataset:
        """Its store, read lazily."""
        return open_dataset(self.run.path)

    @property
    def freedom(self) -> Freedom:
        """What its estimates may be aligned over with their truths."""
        facts = self.run.beside.read(len(self.run.plan.stages) - 1, 0) or {}
        return Freedom.of_run(self.record, facts, self.run.plan.solve)

    @property
    def methods(self) -> dict[str, str]:
        """For every kind the methods' names, in order."""
        parts = self.record["recipe"]["parts"]
        return {kind: " + ".join(one["name"] for one in parts[kind]) for kind in KINDS}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Every setting of which a value depends, by the key that it has in a run file."""
        recipe = self.record["recipe"]
        sections: dict[str, Any] = {"seed": recipe["seed"]}
        for kind, row in KINDS.items():
            for number, part in enumerate(recipe["parts"][kind], 1):
                at = f"{kind}.{number}" if row.many else kind
                sections[at] = {**part["settings"], **({"on": part["on"]} if part["on"] else {})}
        for name in ("simulate", "compute"):
            without = NO_EFFECT.get(name, ())
            sections[name] = {key: value for key, value in (recipe[name] or {}).items() if key not in without}
        return dict(_leaves(sections))


def _leaves(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """What stands in nested tables, by dotted keys; a list of plain values is one value."""
    if isinstance(value, Mapping):
        inside: list[tuple[str, Any]] = [*value.items()]
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        inside = [(str(number), one) for number, one in enumerate(value, 1)]
    else:
        yield at, value
        return
    for key, one in inside:
        yield from _leaves(one, f"{at}.{key}" if at else key)


def open_runs(paths: Sequence[Path]) -> list[Compared]:
    """The runs of these stores.

    Raises
    ------
    RequestError : one is not there or not finished, or they are of different data or shapes.
    """
    runs = [Compared(name, StoredRun.finished(path)) for name, path in zip(_names(paths), paths, strict=True)]
    for other in runs[1:]:
        if differ := [*_other_data(runs[0], other), *_other_shapes(runs[0], other)]:
            raise RequestError(
                f"{runs[0].run.path} and {other.run.path} cannot be compared, their data differ:\n  "
                + "\n  ".join(differ)
            )
    return runs


def read_truths(runs: Sequence[Compared], registry: Registry) -> dict[str, xr.DataArray]:
    """For every estimate its truth, where the loader's dataset has it.

    Raises
    ------
    PreimageError : the data are not what they were, or their loader is not installed.
    """
    record = runs[0].record
    if changed := changed_inputs(
        {name: found for name, found in record["identity"]["inputs"].items() if _is_data(name)}
    ):
        raise DataError("; ".join(changed))
    recipe = Recipe.from_json(json.dumps(record["recipe"]))
    loader = replace(recipe, parts={**dict.fromkeys(KINDS, ()), "loader": recipe.parts["loader"]}).bind(registry)[
        "loader"
    ]
    dataset = loader[0].make().describe()
    truths = {}
    for name in runs[0].run.plan.solve.outputs:
        truth = name.replace("estimate", "truth", 1)
        if truth in dataset.variables and dataset[truth].sizes == runs[0].result[name].sizes:
            truths[name] = dataset[truth]
    return truths


def _names(paths: Sequence[Path]) -> list[str]:
    """The names of the stores, with as much of their folders as tells them apart."""
    whole = [path.resolve().with_suffix("") for path in paths]
    if len(set(whole)) < len(whole):
        twice = next(path for path, one in zip(paths, whole, strict=True) if whole.count(one) > 1)
        raise RequestError(f"{twice} is named twice")
    depth = 1
    while len({one.parts[-depth:] for one in whole}) < len(whole):
        depth += 1
    return [str(Path(*one.parts[-depth:])) for one in whole]


def _other_data(one: Compared, other: Compared) -> Iterator[str]:
    """How the data of two runs differ; a line each."""
    if one.methods["loader"] != other.methods["loader"]:
        yield f"loader: {one.methods['loader']} and {other.methods['loader']}"
        return
    for key in sorted({*one.settings, *other.settings}):
        if key.startswith("loader.") and one.settings.get(key) != other.settings.get(key):
            yield f"{key}: {one.settings.get(key)} and {other.settings.get(key)}"
            return
    inputs = [compared.record["identity"]["inputs"] for compared in (one, other)]
    for name in sorted(filter(_is_data, inputs[0])):
        if inputs[0][name] != inputs[1].get(name):
            yield f"{inputs[0][name]['path']} changed between the runs"


def _other_shapes(one: Compared, other: Compared) -> Iterator[str]:
    mine, theirs = (
        {name: (array.dims, array.shape) for name, array in compared.run.plan.solve.outputs.items()}
        for compared in (one, other)
    )
    for name in sorted({*mine, *theirs}):
        if mine.get(name) != theirs.get(name):
            yield f"{name}: {_shape(mine.get(name))} and {_shape(theirs.get(name))}"


def _shape(found: tuple[tuple[str, ...], tuple[int, ...]] | None) -> str:
    return ", ".join(f"{dim} {n}" for dim, n in zip(*found, strict=True)) if found else "none"


def _is_data(name: str) -> bool:
    """Whether an input of a record is the loader's."""
    return name.startswith("1 loader ")
