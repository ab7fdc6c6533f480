"""Running the record of a result again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from preimage.errors import DataError, PluginError, RequestError
from preimage.record import changed_inputs, differences, library_versions
from preimage.run_settings import OutputSettings
from preimage.volumes.progress import Progress
from preimage_registry.registry import Registry
from preimage_registry.results.stored import StoredRun
from preimage_registry.runfile import Recipe
from preimage_registry.runfile.binding import validate
from preimage_registry.running import prepare


def check_reproducible(run: StoredRun, registry: Registry) -> None:
    """Check that everything is there which made a result.

    Raises
    ------
    PluginError : parts are not installed, or may not be used.
    DataError : inputs are not what they were.
    """
    missing = []
    for part in _installed(run.record):
        try:
            registry.find(part["kind"], f"{part['distribution']}:{part['name']}")
        except PluginError as error:
            made_with = f"{part['kind']}.{part['name']} of {part['distribution']} {part['version']}"
            missing.append(f"it was made with {made_with}: {error}")
    if missing:
        raise PluginError(_told(run, missing))
    if changed := changed_inputs(run.record["identity"]["inputs"]):
        raise DataError(_told(run, [*changed, "put back what it read, or run its run file anew"]))


def rerun(run: StoredRun, output: Path, registry: Registry, watchers: Sequence[Progress] = ()) -> StoredRun:
    """Run the record of a result into another store, or go on with that.

    Raises
    ------
    RequestError : the store is that of the result itself, or of a run that is finished, or another's.
    RunError : it failed; finished blocks are kept.
    """
    if output.exists() and StoredRun.open(output).record.get("finished"):
        raise RequestError(f"--output {output} is a finished run: choose another path")
    recipe = Recipe.from_json(json.dumps(run.record["recipe"]))
    settings = {**run.record["recipe"]["output"], "path": str(output)}
    there = validate(OutputSettings, settings, Path.cwd(), "--output", ("output",))
    prepare(replace(recipe, output=there), registry, watchers, run.plan).execute()
    return StoredRun.finished(output)


def changes(run: StoredRun, again: StoredRun, registry: Registry) -> list[str]:
    """What is not as it was when the result was made, a line each."""
    lines = []
    for part in _installed(run.record):
        now = registry.find(part["kind"], f"{part['distribution']}:{part['name']}").version
        if now != part["version"]:
            lines.append(f"{part['kind']}.{part['name']}: {part['distribution']} {part['version']}, now {now}")
    lines += differences(run.record["versions"], library_versions())
    for name in ("device", "threads", "plan"):
        lines += differences(run.record[name], again.record[name], name)
    return lines


def _installed(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The parts of a record that a distribution brought, each once."""
    parts = [part for part in record["parts"] if "entry_point" in part]
    return list({(part["kind"], part["distribution"], part["name"]): part for part in parts}.values())


def _told(run: StoredRun, reasons: Sequence[str]) -> str:
    return f"{run.path} cannot be reproduced:\n  " + "\n  ".join(reasons)
