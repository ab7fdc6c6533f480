"""A result for other programs: an OME-Zarr view, or a NIfTI image."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from preimage.errors import RequestError
from preimage.volumes.progress import Progress, Several

FORMATS = {
    ".ome.zarr": "preimage.export.ome_zarr",
    ".nii": "preimage.export.nifti",
    ".nii.gz": "preimage.export.nifti",
}
"""How a format's names end → its module, whose `prepare(source, part)` gives what can `write(path, progress)`."""


class Part(StrEnum):
    """What is written of complex values."""

    COMPLEX = "complex"
    MAGNITUDE = "magnitude"
    PHASE = "phase"


class Export(NamedTuple):
    """What was written.

    Attributes
    ----------
    text : in a line, such as `OME-Zarr 0.5, magnitude and phase, 24 × 96 × 128 (z, y, x), 2 levels`.
    n_broken : number of voxels that are not finite.
    """

    text: str
    n_broken: int


def export(
    store: Path | str,
    path: Path | str,
    *,
    variable: str = "estimate",
    at: Mapping[str, int] | None = None,
    part: Part = Part.COMPLEX,
    force: bool = False,
    watchers: Iterable[Progress] = (),
) -> Export:
    """Write a variable of a run or a dataset in the format that `path` ends in; a part of it is in memory at a time.

    Parameters
    ----------
    store : of a finished run, or any Zarr group of arrays with named dims.
    at : index along dims that are not exported.
    part : what a NIfTI image has of complex values; an OME-Zarr view has magnitude and phase as channels.
    force : whether to replace an export that is there.

    Raises
    ------
    RequestError : there is no such format, store, variable or dim, or something is at `path` that may not be replaced.
    RunError : the values cannot be read.
    """
    store, path = Path(store), Path(path)
    suffix = format_of(path)
    _check_target(path, store, suffix, force=force)
    prepare = _module(suffix).prepare
    from preimage.export.source import open_source  # and with it numpy, xarray and zarr

    source = open_source(store, variable, at or {})
    image = prepare(source, Part(part))
    with _in_place(path) as writing:
        image.write(writing, Several(watchers))
    return Export(image.text, source.n_broken)


def format_of(path: Path) -> str:
    """The format that a name asks for.

    Raises
    ------
    RequestError : it ends otherwise.
    """
    found = [suffix for suffix in FORMATS if path.name.endswith(suffix)]
    if not found:
        *most, last = FORMATS
        raise RequestError(f"{path}: the name of an export ends in {', '.join(most)} or {last}")
    return found[0]


def _module(suffix: str) -> Any:
    """The module of a format; it imports what nobody else needs.

    Raises
    ------
    RequestError : that is not installed.
    """
    try:
        return importlib.import_module(FORMATS[suffix])
    except ModuleNotFoundError as error:
        raise RequestError(f"to write {suffix}, {error.name} is needed: pip install {error.name}") from None


def _check_target(path: Path, store: Path, suffix: str, *, force: bool) -> None:
    """Only another export is ever replaced."""
    if path.resolve().is_relative_to(store.resolve()):
        raise RequestError(f"{path} lies in {store}: write the export beside it")
    if not path.exists():
        return
    if not force:
        raise RequestError(f"{path} exists: choose another path, or replace it with --force")
    is_export = _is_view(path) if suffix == ".ome.zarr" else path.is_file()
    if not is_export:
        raise RequestError(f"{path} is no export, and is not replaced: choose another path")


def _is_view(path: Path) -> bool:
    import zarr

    try:
        return "ome" in zarr.open_group(path, mode="r", use_consolidated=False).attrs
    except (OSError, ValueError, KeyError):
        return False


@contextmanager
def _in_place(path: Path) -> Iterator[Path]:
    """A path beside this one, moved there when all is written; what was there is kept until then."""
    writing = path.with_name(f".writing-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(writing)
        yield writing
        _remove(path)
        writing.rename(path)
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        _remove(writing)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
