"""Saving a state and going on from it, bit for bit."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from preimage.errors import RequestError
from preimage.files import replacing
from preimage.randomness import Seed
from preimage.solving.state import State

_META = "preimage"
_DIGEST = "digest"


def save_state(state: State, path: Path, notes: Mapping[str, Any] | None = None) -> None:
    """Write a state to a safetensors file, whole or not at all, with a digest of all that is in it.

    Parameters
    ----------
    notes : plain data to be kept with it.
    """
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    _collect(state, "state", tensors, numbers)
    complex_names = [name for name, tensor in tensors.items() if tensor.is_complex()]
    stored = _storable(tensors)
    meta = json.dumps({"numbers": numbers, "complex": complex_names, "notes": dict(notes or {})})
    with replacing(path) as temporary:
        safetensors.torch.save_file(stored, temporary, {_META: meta, _DIGEST: _digest(meta, stored)})


def load_state(template: State, path: Path) -> State:
    """Read a state into the form of `template`, which is what the solver's `start` returns.

    Raises
    ------
    RequestError : the file is no saved state, is damaged, or is one of another solver or of another problem's shape.
    """
    return load_noted(template, path)[0]


def load_noted(template: State, path: Path) -> tuple[State, dict[str, Any]]:
    """The same with the notes that were kept with it."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata, names = file.metadata(), list(file.keys())
        meta = json.loads(metadata[_META])
        tensors = {name: _read(path, name) for name in names}
        damaged = metadata[_DIGEST] != _digest(metadata[_META], tensors)
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise RequestError(f"{path} is not a saved state: {error}") from None
    if damaged:
        raise RequestError(f"{path} is damaged: it is not what was written")
    for name in meta["complex"]:
        tensors[name] = torch.view_as_complex(tensors[name])
    return _fill(template, "state", tensors, meta["numbers"], path), meta["notes"]


def load_part(path: Path, name: str, index: tuple[slice, ...]) -> Tensor:
    """A part of one tensor of a saved state, such as `offer`; no more is read, and no digest compared.

    Raises
    ------
    RequestError : the file is no saved state, or has no such tensor.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            meta = json.loads(file.metadata()[_META])
            part = file.get_slice(f"state.{name}")[index].clone()
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise RequestError(f"{path} is not a saved state with {name}: {error}") from None
    return torch.view_as_complex(part) if f"state.{name}" in meta["complex"] else part


def _digest(meta: str, tensors: Mapping[str, Tensor]) -> str:
    """A digest of everything that a file holds: safetensors has no checksum, so that a flipped bit would go on."""
    found = hashlib.blake2b(meta.encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(_bytes(tensor))
    return found.hexdigest()


def _read(path: Path, name: str) -> Tensor:
    """One tensor of a file, which is mapped for that alone: what is mapped counts in the memory of the process."""
    with safetensors.safe_open(path, "pt") as file:
        # Cloned: a view into the mapped file may be misaligned for complex numbers, which crashes some kernels.
        found: Tensor = file.get_tensor(name).clone()
    return found


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.as_strided((tensor.numel(),), (1,))  # a single number may have any stride
    return flat.view(torch.uint8).numpy().data


def _storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Safetensors knows no complex128, and wants contiguous tensors that share no memory; others are not copied."""
    stored: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        real = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
        plain = real.detach().cpu().contiguous()
        memory = plain.untyped_storage()
        alone = memory.nbytes() == plain.nbytes and memory.data_ptr() not in seen
        stored[name] = plain if alone else plain.clone(memory_format=torch.contiguous_format)
        seen.add(memory.data_ptr())
    return stored


def _collect(value: Any, at: str, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    match value:
        case Tensor():
            tensors[at] = value
        case Mapping():
            for name, part in value.items():
                _collect(part, f"{at}.{name}", tensors, numbers)
        case list() | tuple():
            for i, part in enumerate(value):
                _collect(part, f"{at}.{i}", tensors, numbers)
        case State() | Seed():
            for field in dataclasses.fields(value):
                _collect(getattr(value, field.name), f"{at}.{field.name}", tensors, numbers)
        case bool() | int() | float() | str() | None:
            numbers[at] = value
        case _:
            raise RequestError(
                f"the field {at} of the state is a {type(value).__name__}: a state holds tensors, Blocks, numbers, "
                "a Seed or nested states, so that it can be saved"
            )


def _fill(value: Any, at: str, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any], path: Path) -> Any:
    if at in numbers:
        return numbers[at]
    if at in tensors:
        return _checked(value, tensors[at], at, path)
    match value:
        case Mapping():
            return type(value)(  # type: ignore[call-arg]
                {name: _fill(part, f"{at}.{name}", tensors, numbers, path) for name, part in value.items()}
            )
        case list() | tuple():
            return type(value)(_fill(part, f"{at}.{i}", tensors, numbers, path) for i, part in enumerate(value))
        case State() | Seed():
            parts = {
                field.name: _fill(getattr(value, field.name), f"{at}.{field.name}", tensors, numbers, path)
                for field in dataclasses.fields(value)
            }
            return type(value)(**parts)
    raise RequestError(f"{path} has no {at}: it was saved by another solver")


def _checked(template: Any, tensor: Tensor, at: str, path: Path) -> Tensor:
    """A tensor where the template has one must be alike; a field that was None may have become one."""
    if isinstance(template, Tensor):
        if tensor.shape != template.shape or tensor.dtype != template.dtype:
            raise RequestError(
                f"{path}: {at} is {tensor.dtype} of shape {tuple(tensor.shape)}, "
                f"this problem's is {template.dtype} of shape {tuple(template.shape)}"
            )
        return tensor.to(template.device)
    if template is not None:
        raise RequestError(f"{path}: {at} is a tensor, this solver has a {type(template).__name__} there")
    return tensor
