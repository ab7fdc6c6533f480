"""Importing weights from other formats, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import platformdirs
from torch import Tensor

from preimage.errors import WeightsError
from preimage.weights.checkpoint import read_checkpoint
from preimage.weights.description import FORMAT, Description, Expects
from preimage.weights.flax import read_flax
from preimage.weights.native import check_tensors, digest, is_intact, parsed, read_file, save_weights, write_native

READERS: dict[str, Callable[[bytes, Path], dict[str, Tensor]]] = {
    ".mpk": read_flax,
    ".msgpack": read_flax,
    ".pt": read_checkpoint,
    ".pth": read_checkpoint,
    ".safetensors": parsed,
}
"""By the end of a file's name: what makes named tensors of its bytes. Names of nested tensors are joined by dots."""


def import_weights(
    foreign: Path,
    target: Path,
    *,
    source: str = "",
    licence: str = "",
    expects: Expects | None = None,
) -> Description:
    """Convert a torch checkpoint, a Flax file or a bare safetensors file to a native one.

    A torch checkpoint is opened in a process of its own, which may use little memory and time, start no process and
    no connection, and in which torch makes tensors alone; a Flax file is decoded as data. Nothing is executed.

    Parameters
    ----------
    foreign : a .pt, .pth, .mpk, .msgpack or .safetensors file.
    target : a name that ends in .safetensors; the description is written beside it.
    source, licence, expects : see `Description`; the source is by default the file's name and digest.

    Raises
    ------
    WeightsError : the file cannot be trusted, is damaged, or holds other things than dense, finite tensors.
    """
    foreign = Path(foreign)
    data = read_file(foreign)
    source = source or _named(foreign, data)
    return save_weights(_tensors(data, foreign), target, source=source, licence=licence, expects=expects)


def imported(path: Path) -> Path:
    """The native file made of a foreign one, in the user's cache under the digest of its content."""
    data = read_file(path)
    target = cache_folder() / f"{digest(data)}.safetensors"
    if not is_intact(target):
        tensors = _tensors(data, path)
        try:
            write_native(tensors, target, _named(path, data), "", Expects())
        except OSError as error:
            raise WeightsError(
                f"{path} is to be imported into {target.parent}, which cannot be written ({error.strerror}): set "
                "XDG_CACHE_HOME to a folder that can, or import it yourself by preimage.weights.import_weights"
            ) from None
    return target


def cache_folder() -> Path:
    """Where imported weights are kept."""
    return platformdirs.user_cache_path("preimage") / f"weights-{FORMAT}"


def _tensors(data: bytes, path: Path) -> dict[str, Tensor]:
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise WeightsError(f"{path}: the name of a file of weights ends in one of {', '.join(READERS)}")
    tensors = read(data, path)
    check_tensors(tensors, path)
    return tensors


def _named(path: Path, data: bytes) -> str:
    return f"{path.name}, sha256 {digest(data)}"
