"""Zarr stores: how every array is created, opened and written.

Every array has a checksum: with zarr's defaults a flipped bit goes unnoticed. Every array that is written
writes its empty chunks too, since a chunk of zeros would otherwise be deleted. Both are settled here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.abc.store import ByteRequest
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from preimage.errors import DataError, RequestError, RunError
from preimage.files import flush
from preimage.identity import METADATA, missing_chunk
from preimage.volumes.planning.plan import ArrayPlan

SCHEMA = 1
"""Version of the layout of a store; a newer one is refused."""
ATTRIBUTE = "preimage"
"""The attribute of a store's group under which the platform keeps its own."""
TARGET_CHUNK = 4 * 2**20
"""Bytes that a chunk of a dataset is about, where nobody says."""
_CHUNK = re.compile(r"(?P<name>.+)/(?P<key>c(/\d+)*)")
"""The key of an array's chunk in a store."""


def calibration(output: Path, index: int) -> Path:
    """The store of what a preparation found, in that of a run."""
    return output / "calibration" / str(index)


def create_group(path: Path, attributes: Mapping[str, Any] | None = None) -> zarr.Group:
    """A new, empty group, in place of what was there."""
    return zarr.create_group(path, overwrite=True, zarr_format=3, attributes=dict(attributes or {}))


def create_array(group: zarr.Group, name: str, plan: ArrayPlan, *, compressed: bool, **attributes: Any) -> None:
    """Create an array of a store; the driver alone does so, before any task."""
    codecs: list[Any] = [ZstdCodec(level=1)] if compressed else []
    group.create_array(
        name,
        shape=plan.shape,
        dtype=plan.dtype,
        chunks=tuple(max(n, 1) for n in plan.chunks),
        shards=plan.shards,
        compressors=[*codecs, Crc32cCodec()],
        dimension_names=plan.dims,
        fill_value=np.dtype(plan.dtype).type(np.nan) if np.dtype(plan.dtype).kind in "fc" else 0,
        attributes=attributes,
        overwrite=True,
        config={"write_empty_chunks": True},
    )


def open_for_writing(path: Path, name: str) -> zarr.Array[Any]:
    """An array of an existing store, by which every writer writes.

    The setting that keeps chunks of zeros is not stored with an array, so that a plain reopening loses it.

    Raises
    ------
    RunError : it is not there.
    """
    try:
        found = zarr.open_group(path, mode="r+", use_consolidated=False)[name]
    except KeyError:
        raise RunError(f"{path / name / 'zarr.json'} is gone: run with --fresh") from None
    assert isinstance(found, zarr.Array)
    return found.with_config({"write_empty_chunks": True})


def check_whole_units(array: zarr.Array[Any], name: str, dims: tuple[str, ...], region: Mapping[str, slice]) -> None:
    """Refuse a region that is no whole write units of an array: two writers in one lose data.

    Raises
    ------
    RequestError : names the array and the dim.
    """
    for dim, n, unit in zip(dims, array.shape, array.shards or array.chunks, strict=True):
        start, stop, _ = region.get(dim, slice(None)).indices(n)
        if start % unit or (stop % unit and stop < n):
            raise RequestError(
                f"{start}:{stop} along {dim!r} is no whole write units of {name}, which are {unit}: run with --fresh"
            )


def object_sizes(path: Path, array: zarr.Array[Any], name: str, part: Sequence[slice] | None = None) -> dict[str, int]:
    """Bytes of the stored objects that hold a part in whole write units, by their keys; -1 where there is none."""
    spans = []
    for here, n, unit in zip(
        part or [slice(None)] * array.ndim, array.shape, array.shards or array.chunks, strict=True
    ):
        start, stop, _ = here.indices(n)
        spans.append(range(start // unit, -(-stop // unit)))
    keys = [array.metadata.encode_chunk_key(at) for at in itertools.product(*spans)]
    return {key: size_of(path, name, key) for key in keys}


def remove_objects(path: Path, array: zarr.Array[Any], name: str, part: Sequence[slice] | None = None) -> None:
    """Remove the stored objects that hold a part in whole write units."""
    for key in object_sizes(path, array, name, part):
        (path / name / key).unlink(missing_ok=True)


def size_of(path: Path, name: str, key: str) -> int:
    """Bytes of a stored object; -1 if there is none."""
    try:
        return (path / name / key).stat().st_size
    except FileNotFoundError:
        return -1


def read_attributes(path: Path) -> dict[str, Any]:
    """The platform's own attributes of a store.

    Raises
    ------
    RequestError : it is no store of the platform, or one of a newer schema.
    """
    try:
        group = zarr.open_group(path, mode="r", use_consolidated=False)
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise RequestError(f"{path} is not a Zarr group: {error}") from None
    found = dict(group.attrs).get(ATTRIBUTE)
    if not isinstance(found, dict):
        raise RequestError(f"{path} is a Zarr group, but not one of a run")
    if int(found.get("schema", 0)) > SCHEMA:
        raise RequestError(f"{path} has schema {found['schema']}, this version reads up to {SCHEMA}: update preimage")
    return found


def write_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    """Replace the platform's own attributes of a store, and have that on the disk."""
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    group.attrs[ATTRIBUTE] = {"schema": SCHEMA, **attributes}
    flush(path / METADATA)
    flush(path)


def write_dataset(
    dataset: xr.Dataset, path: Path | str, chunks: Mapping[str, int] | None = None, *, overwrite: bool = False
) -> None:
    """Store a dataset as Zarr: zstd level 1, a checksum on every chunk, written chunk by chunk.

    Parameters
    ----------
    chunks : lengths of the chunks along some dims; the first dims are cut to chunks of about 4 MiB else.
    overwrite : whether to replace a store that is there.

    Raises
    ------
    RequestError : there is one already.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise RequestError(f"{path} exists: remove it, choose another path or ask to overwrite it")
    attributes = {ATTRIBUTE: {"schema": SCHEMA}, **plain(dict(dataset.attrs))}
    group = create_group(path, attributes)
    for key, variable in dataset.variables.items():
        name = str(key)
        dims = tuple(map(str, variable.dims))
        lengths = _chunks(variable, dims, chunks)
        plan = ArrayPlan(dims, tuple(variable.shape), str(variable.dtype), lengths)
        create_array(group, name, plan, compressed=True, **plain(dict(variable.attrs)))
        target = open_for_writing(path, name)
        rows = lengths[0] if dims else 1
        for start in range(0, variable.shape[0] if dims else 1, rows):
            here = (slice(start, start + rows),) if dims else ()
            target[here or ...] = np.asarray(variable[here].values)


def open_dataset(path: Path | str, group: str | None = None) -> xr.Dataset:
    """A stored dataset, read lazily. Of one that `write_dataset` made, a chunk that is gone is an error once read.

    Raises
    ------
    DataError : it has a newer schema.
    RequestError : there is nothing.
    """
    path = Path(path)
    if not path.exists():
        raise RequestError(f"{path} does not exist: there is no dataset to open")
    store = _Complete(path, read_only=True) if _must_be_complete(path) else path
    found: xr.Dataset = xr.open_zarr(store, group=group, chunks=None, consolidated=False)
    return found


def check_complete(path: Path) -> None:
    """Refuse a store in which all chunks were written and one is gone.

    Raises
    ------
    RunError : names it.
    """
    if (path / METADATA).exists() and _must_be_complete(path) and (gone := missing_chunk(path)):
        raise _is_gone(path, *gone)


def _must_be_complete(path: Path) -> bool:
    """Whether every chunk must be there: the store is one of ours, and not that of a run in work."""
    try:
        ours = zarr.open_group(path, mode="r", use_consolidated=False).attrs.get(ATTRIBUTE)
    except (OSError, ValueError, KeyError):  # xarray will say what it is instead
        return False
    if not isinstance(ours, dict):
        return False
    if int(ours.get("schema", 0)) > SCHEMA:
        raise DataError(f"{path} has schema {ours['schema']}, this version reads up to {SCHEMA}: update preimage")
    return "key" not in ours or bool(ours.get("finished"))


class _Complete(LocalStore):
    """A folder in which a chunk that is not there is an error, and not a chunk of fill values."""

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        found = await super().get(key, prototype, byte_range)
        if found is None and (chunk := _CHUNK.fullmatch(key)):
            raise _is_gone(self.root, chunk["name"], chunk["key"])
        return found


def _is_gone(path: Path, name: str, key: str) -> RunError:
    return RunError(
        f"the chunk {key} of {name!r} is gone from {path}, in which all were written: "
        "copy or write that store again. Finished blocks are kept"
    )


def plain(value: Any) -> Any:
    """Attributes as plain JSON: arrays as lists, numpy's numbers as Python's."""
    match value:
        case dict():
            return {str(name): plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case np.ndarray():
            return value.tolist()
        case np.generic():
            return value.item()
    return value


def _chunks(variable: xr.Variable, dims: tuple[str, ...], asked: Mapping[str, int] | None) -> tuple[int, ...]:
    shape = list(variable.shape)
    if asked and any(dim in asked for dim in dims):
        return tuple(min(asked.get(dim, n), n) for dim, n in zip(dims, shape, strict=True))
    size = variable.dtype.itemsize
    for axis in range(len(shape)):
        rest = size * int(np.prod(shape[axis + 1 :]))
        if rest * shape[axis] <= TARGET_CHUNK:
            break
        shape[axis] = max(1, TARGET_CHUNK // rest)
        if rest <= TARGET_CHUNK:
            break
    return tuple(shape)
