"""What tells that a file or a store is still the same, without reading what it holds.

A chunk of a Zarr array whose last codec is crc32c ends with the checksum of its bytes: its size and these four bytes
tell it from another, wherever and whenever it was copied. All else is told by size and time of change.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preimage.errors import DataError

METADATA = "zarr.json"
CHECKSUM = 4
"""Bytes of a crc32c."""


def identity(path: Path) -> dict[str, Any]:
    """What tells a file or a store from another, without its values.

    Returns
    -------
    path, bytes, files, digest : of names, sizes, and checksums or times of change.
    missing : True where there is nothing.

    Raises
    ------
    DataError : it cannot be read, or goes meanwhile.
    """
    try:
        return _identity(path)
    except OSError as error:
        raise DataError(
            f"{error.filename or path} cannot be read ({error.strerror or error}): what a run reads must be there and "
            "readable from its beginning to its end"
        ) from error


def _identity(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"path": str(path), "missing": True}
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    checked = {array.folder for array in _arrays(files) if array.is_checked}
    found = hashlib.blake2b(digest_size=16)
    n_bytes = 0
    for file in files:
        status = file.stat()
        n_bytes += status.st_size
        found.update(f"{file.relative_to(path)}\0{status.st_size}\0".encode())
        if file.name == METADATA:
            found.update(file.read_bytes())
        elif status.st_size >= CHECKSUM and any(folder in checked for folder in file.parents):
            found.update(_end(file))
        else:
            found.update(f"{status.st_mtime_ns}".encode())
        found.update(b"\0")
    return {"path": str(path), "bytes": n_bytes, "files": len(files), "digest": found.hexdigest()}


def missing_chunk(store: Path) -> tuple[str, str] | None:
    """An array of a Zarr store and the key of a chunk of it that is not there; None where all are."""
    for array in _arrays(sorted(store.rglob(METADATA))):
        for key in array.objects():
            if not (array.folder / key).exists():
                return array.folder.relative_to(store).as_posix(), key
    return None


@dataclass(frozen=True)
class _Array:
    """An array of a Zarr store of version 3, by its metadata."""

    folder: Path
    metadata: Mapping[str, Any]

    @property
    def is_checked(self) -> bool:
        """Whether each of its objects ends with the checksum of all of its bytes; that of a shard is of its index."""
        codecs = self.metadata.get("codecs") or [{}]
        return bool(codecs[-1].get("name") == "crc32c")

    def objects(self) -> Iterator[str]:
        """The keys of all objects."""
        lengths = self.metadata["chunk_grid"]["configuration"]["chunk_shape"]
        spans = [range(math.ceil(n / unit)) for n, unit in zip(self.metadata["shape"], lengths, strict=True)]
        return ("/".join(["c", *map(str, at)]) for at in itertools.product(*spans))


def _arrays(files: list[Path]) -> Iterator[_Array]:
    for file in files:
        if file.name == METADATA:
            try:
                metadata = json.loads(file.read_bytes())
            except ValueError:
                continue
            if isinstance(metadata, dict) and metadata.get("node_type") == "array":
                yield _Array(file.parent, metadata)


def _end(file: Path) -> bytes:
    with file.open("rb", buffering=0) as opened:
        opened.seek(-CHECKSUM, 2)
        return opened.read(CHECKSUM)
