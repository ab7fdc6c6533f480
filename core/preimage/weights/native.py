"""The native format: a safetensors file, and its description as JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from preimage.errors import WeightsError
from preimage.files import write_atomically
from preimage.units import format_bytes
from preimage.weights.description import Description, Expects, Stored, description_path, read_description

MAX_BYTES = 4 * 2**30
"""Of a file of weights; networks that restore images have a hundredth of it."""
REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COUNTS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool)
MAX_NAME = 200
"""Characters of a tensor's name."""


def save_weights(
    tensors: Mapping[str, Tensor],
    path: Path,
    *,
    source: str = "",
    licence: str = "",
    expects: Expects | None = None,
) -> Description:
    """Write weights and their description, each whole or not at all.

    Parameters
    ----------
    path : a name that ends in .safetensors; the description is written beside it.
    source, licence, expects : see `Description`.

    Raises
    ------
    WeightsError : there is no tensor, one is not finite or of a dtype that is not stored, or the disk refuses.
    """
    check_tensors(tensors, path)
    try:
        return write_native(tensors, Path(path), source, licence, expects or Expects())
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error.strerror}") from None


def write_native(tensors: Mapping[str, Tensor], path: Path, source: str, licence: str, expects: Expects) -> Description:
    """As `save_weights`, for tensors that were checked; raises `OSError` where the disk refuses."""
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path}: weights are stored in a file whose name ends in .safetensors")
    dense = {name: _dense(tensor) for name, tensor in tensors.items()}
    data = safetensors.torch.save(dense)
    description = Description(
        sha256=digest(data),
        tensors={name: Stored.of(tensor) for name, tensor in dense.items()},
        source=source,
        licence=licence,
        expects=expects,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)
    write_atomically(description_path(path), description.model_dump_json(indent=2) + "\n")
    return description


def _dense(tensor: Tensor) -> Tensor:
    """A copy with memory of its own, as safetensors wants it."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def read_native(path: Path) -> dict[str, Tensor]:
    """All tensors of a file that has a description, compared with it.

    Raises
    ------
    WeightsError : naming the first thing that is wrong.
    """
    description = read_description(path)
    data = read_file(path)
    found = digest(data)
    if found != description.sha256:
        raise WeightsError(
            f"{path} is not the file that {description_path(path).name} describes: its sha256 is {found[:12]}…, "
            f"not {description.sha256[:12]}…. Was it replaced or cut off?"
        )
    tensors = parsed(data, path)
    check_tensors(tensors, path)
    if {name: Stored.of(tensor) for name, tensor in tensors.items()} != description.tensors:
        raise WeightsError(f"{description_path(path)} describes other tensors than {path} holds: make both anew")
    return tensors


def is_intact(path: Path) -> bool:
    """Whether a file and its description are there and belong together."""
    try:
        read_native(path)
    except WeightsError:
        return False
    return True


def parsed(data: bytes, path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file."""
    try:
        return safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(f"{path} is no safetensors file: {error}") from None


def check_tensors(tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Raise `WeightsError` unless there are tensors, with plain names and dtypes of weights, and all are finite."""
    if not tensors:
        raise WeightsError(f"{path} holds no tensor")
    for name, tensor in tensors.items():
        if not name.isprintable() or len(name) > MAX_NAME:
            raise WeightsError(f"{path} holds a tensor with the name {shown(name)}, which is none to be read")
        if tensor.dtype not in (*REAL, *COUNTS):
            raise WeightsError(f"{path}: {name} is {tensor.dtype}, which is no dtype of weights")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise WeightsError(f"{path}: {name} has {count} of {tensor.numel()} numbers that are not finite")


def read_file(path: Path) -> bytes:
    """The bytes of a regular file that is not too large.

    Raises
    ------
    WeightsError : it cannot be read, is no regular file, or is too large.
    """
    try:
        if path.exists() and not path.is_file():
            raise WeightsError(f"{path} is no file: name one file of weights")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise WeightsError(f"{path} is larger than {format_bytes(MAX_BYTES)}, the most that is read of weights")
    return data


def shown(name: str) -> str:
    """A name from a file, as it may be printed."""
    return repr(name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…")


def digest(data: bytes) -> str:
    """Its sha256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
