"""What is written beside every result so that it can be reproduced."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preimage.parts import Part

LIBRARIES = ("preimage", "torch", "numpy", "zarr", "xarray", "dask")


def digest(value: Any) -> str:
    """A stable digest of plain data."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of what computes."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in LIBRARIES}


def input_identities(parts: tuple[Part, ...]) -> dict[str, dict[str, Any]]:
    """Identity of every file or store that a setting of a part names: size, time of change, digest of its headers."""
    found = {}
    for part in parts:
        for name in type(part.settings).model_fields:
            value = getattr(part.settings, name)
            if isinstance(value, Path):
                found[f"{part.kind}.{part.name}.{name}"] = identity(value)
    return found


def identity(path: Path) -> dict[str, Any]:
    """What tells that a file or a store is still the same, without reading it."""
    if not path.exists():
        return {"path": str(path), "missing": True}
    if path.is_dir():  # a Zarr store: its headers, and when its arrays were made
        headers = sorted(path.rglob("zarr.json"))
        return {
            "path": str(path),
            "headers": hashlib.blake2b(b"".join(h.read_bytes() for h in headers), digest_size=16).hexdigest(),
            "changed_ns": max((h.stat().st_mtime_ns for h in headers), default=0),
        }
    status = path.stat()
    return {"path": str(path), "bytes": status.st_size, "changed_ns": status.st_mtime_ns}


def differences(one: Any, other: Any, at: str = "") -> list[str]:
    """Where two pieces of plain data differ, as `solver.max_iter: 30, now 50`."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        found = []
        for name in sorted({*one, *other}):
            found += differences(one.get(name), other.get(name), f"{at}.{name}" if at else str(name))
        return found
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [d for i, (a, b) in enumerate(zip(one, other, strict=True), 1) for d in differences(a, b, f"{at}.{i}")]
    return [] if one == other else [f"{at}: {json.dumps(one)}, now {json.dumps(other)}"]
