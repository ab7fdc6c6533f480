"""What is written beside every result so that it can be reproduced."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from preimage.identity import identity
from preimage.nested import nested_parts
from preimage.parts import Part
from preimage.run_settings import ComputeSettings

LIBRARIES = ("preimage", "torch", "numpy", "zarr", "xarray", "dask")
COMPUTING = ("preimage", "torch")
"""Those whose other versions may compute other bits; the others read, store and hand on."""


def digest(value: Any) -> str:
    """A stable digest of plain data."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of what computes."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in LIBRARIES}


def deciding(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a recipe that makes a run another one: not where it is done and where its result goes.

    Which versions its parts are of is no setting, and is compared apart: see `differing_versions`.
    """
    parts = {kind: [_unversioned(part) for part in several] for kind, several in recipe.get("parts", {}).items()}
    compute = ComputeSettings.deciding(recipe["compute"])
    return {**recipe, "parts": parts, "compute": compute, "output": None}


def _unversioned(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name not in ("version", "entry_point")}


def described_parts(parts: Sequence[Part]) -> list[dict[str, str]]:
    """Which method of which distribution and version every part is, parts inside settings too."""
    return [{"kind": part.kind, "name": part.name, **part.origin} for part in nested_parts(parts)]


def differing_parts(then: Sequence[Mapping[str, str]], now: Sequence[Mapping[str, str]]) -> list[str]:
    """Where two lists of described parts differ, as `operator blur: lab-optics 1.2, here 1.3`."""
    if [(part["kind"], part["name"]) for part in then] != [(part["kind"], part["name"]) for part in now]:
        return ["the run file gives other parts here"]
    return [
        f"{one['kind']} {one['name']}: {_origin(one)}, here {_origin(other)}"
        for one, other in zip(then, now, strict=True)
        if one != other
    ]


def differing_versions(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """How what made the run of one record differs from what would make that of another.

    Returns
    -------
    computing, rest : of what decides a result, the parts and `COMPUTING`; of the other libraries.
    """
    changed = [(name, old) for name, old in then["versions"].items() if now["versions"].get(name) != old]
    lines = {name: f"{name} {old}, here {now['versions'].get(name, 'none')}" for name, old in changed}
    computing = differing_parts(then["parts"], now["parts"]) + [lines[name] for name in COMPUTING if name in lines]
    return computing, [line for name, line in lines.items() if name not in COMPUTING]


def _origin(part: Mapping[str, str]) -> str:
    return f"{part.get('distribution', '?')} {part.get('version', '')}".strip()


def input_identities(parts: Sequence[Part]) -> dict[str, dict[str, Any]]:
    """Identity of every file or store that a setting of a part names, also inside other settings."""
    return {
        f"{number} {part.kind} {part.name}.{at}": identity(path)
        for number, part in enumerate(parts, 1)
        for at, path in _paths(part.settings)
    }


def _paths(value: Any, at: str = "") -> Iterator[tuple[str, Path]]:
    match value:
        case Path():
            yield at, value
        case Part():
            yield from _paths(value.settings, at)
        case BaseModel():
            for name in type(value).model_fields:
                yield from _paths(getattr(value, name), f"{at}.{name}" if at else name)
        case Mapping():
            for name, item in value.items():
                yield from _paths(item, f"{at}.{name}")
        case list() | tuple():
            for number, item in enumerate(value, 1):
                yield from _paths(item, f"{at}.{number}")


def changed_inputs(inputs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Inputs of a record that are not any more what it says, a line each."""
    lines = []
    for then in inputs.values():
        now = identity(Path(then["path"]))
        if now == then:
            continue
        if now.get("missing"):
            how = "is gone"
        elif then.get("missing"):
            how = "was not there"
        elif (now["bytes"], now["files"]) != (then["bytes"], then["files"]):
            how = f"had {then['bytes']} bytes in {then['files']} files, now {now['bytes']} in {now['files']}"
        else:
            how = "was written again"
        lines.append(f"{then['path']} {how}")
    return lines


def differences(one: Any, other: Any, at: str = "") -> list[str]:
    """Where two pieces of plain data differ, as `solver.max_iter: 30, now 50`."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        found = []
        for name in sorted({*one, *other}):
            found += differences(one.get(name), other.get(name), f"{at}.{name}" if at else str(name))
        return found
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [d for i, (a, b) in enumerate(zip(one, other, strict=True), 1) for d in differences(a, b, f"{at}.{i}")]
    return [] if one == other else [f"{at}: {_shown(one)}, now {_shown(other)}"]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if isinstance(value, str) or len(text) <= 80 else f"{text[:77]}..."
