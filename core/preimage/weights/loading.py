"""Loading weights into a network that knows which tensors it has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from preimage.errors import WeightsError
from preimage.weights.description import Description, description_path, read_description
from preimage.weights.foreign import imported
from preimage.weights.native import read_native


def load_weights(path: Path, expected: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors of a file, on the CPU, in the order of `expected`.

    Parameters
    ----------
    path : a native file; or a foreign one (.pt, .pth, .mpk, .msgpack, .safetensors alone), which is imported into the
        user's cache the first time.
    expected : name to shape of every tensor that the network has.

    Raises
    ------
    WeightsError : naming the first thing that is wrong: the file, its digest, a name, a shape, a dtype, or a number
        that is not finite.
    """
    path = Path(path)
    tensors = read_native(_native(path))
    for name, shape in expected.items():
        if name not in tensors:
            raise WeightsError(f"{path} has no tensor {name}, which the network has: are these weights of another one?")
        tensor = tensors[name]
        if tuple(tensor.shape) != tuple(shape):
            raise WeightsError(
                f"{path}: {name} has the shape {tuple(tensor.shape)}, that of the network {tuple(shape)}"
            )
        if not tensor.is_floating_point():
            raise WeightsError(f"{path}: {name} is {tensor.dtype}, weights are real numbers")
    for name in tensors:
        if name not in expected:
            raise WeightsError(f"{path} has a tensor {name}, which the network has not: are these weights of another?")
    return {name: tensors[name] for name in expected}


def describe_weights(path: Path) -> Description:
    """What a file of weights holds; a foreign one is imported first, as by `load_weights`."""
    return read_description(_native(Path(path)))


def _native(path: Path) -> Path:
    """The native file: the path itself, or what was imported from it."""
    return path if path.suffix == ".safetensors" and description_path(path).exists() else imported(path)
