"""Weights of DnCNN as they are published: by KAIR for torch, and by SCICO for Flax."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from preimage.errors import WeightsError
from preimage.weights import describe_weights, load_weights
from preimage_variational.denoisers.dncnn_network import DnCNN

Shapes = dict[str, tuple[int, ...]]

KAIR = "model.0.weight"
SCICO = "params.conv_start.kernel"
EPSILON = 1e-5
"""Of the batch normalisation that SCICO's were trained with."""


def read_dncnn(path: Path) -> DnCNN:
    """The network whose weights a file holds, recognised by their names.

    Raises
    ------
    WeightsError : it holds another network, or cannot be trusted or read.
    """
    stored = {name: tensor.shape for name, tensor in describe_weights(path).tensors.items()}
    if len(stored.get(KAIR, ())) == 4:
        tensors = load_weights(path, _kair_shapes(stored))
        pairs = [(name, f"{name.removesuffix('weight')}bias") for name in tensors if name.endswith("weight")]
        return DnCNN([(tensors[weight], tensors[bias]) for weight, bias in pairs], circular=False)
    if len(stored.get(SCICO, ())) == 4:
        return DnCNN(_scico_layers(load_weights(path, _scico_shapes(stored))), circular=True)
    first = next(iter(stored))
    raise WeightsError(
        f"{path} holds no DnCNN: its weights begin with {KAIR} (KAIR) or {SCICO} (SCICO), not with {first}"
    )


def _kair_shapes(stored: Mapping[str, tuple[int, ...]]) -> Shapes:
    """Of a network of so many layers, each with a bias and no normalisation, of grey images."""
    width, _, *size = stored[KAIR]
    k = _odd(size[0])
    last = len(stored) - 2
    shapes: Shapes = {}
    for i in range(0, max(last, 2) + 1, 2):
        n_out, n_in = (1 if i == last else width), (1 if i == 0 else width)
        shapes |= {f"model.{i}.weight": (n_out, n_in, k, k), f"model.{i}.bias": (n_out,)}
    return shapes


def _scico_shapes(stored: Mapping[str, tuple[int, ...]]) -> Shapes:
    """Of a network of grey images, alone or with the level of the noise as a second channel."""
    *size, n_in, width = stored[SCICO]
    k = _odd(size[0])
    if n_in not in (1, 2):
        raise WeightsError(
            f"{SCICO} has {n_in} channels: a DnCNN of grey images has 1, or 2 with the level of the noise"
        )
    shapes: Shapes = {SCICO: (k, k, n_in, width), "params.conv_end.kernel": (k, k, width, n_in)}
    for i in range(_n_blocks(stored)):
        shapes[f"params.ConvBNBlock_{i}.Conv_0.kernel"] = (k, k, width, width)
        for name in ("params.{}.scale", "params.{}.bias", "batch_stats.{}.mean", "batch_stats.{}.var"):
            shapes[name.format(f"ConvBNBlock_{i}.BatchNorm_0")] = (width,)
    return shapes


def _scico_layers(tensors: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Kernels with their normalisation merged into them; of the last layer what it says of the image alone."""
    kernels = {name: _weight(tensor) for name, tensor in tensors.items() if name.endswith("kernel")}
    layers = [(kernels[SCICO], torch.zeros(len(kernels[SCICO])))]
    for i in range(_n_blocks(tensors)):
        norm = f"ConvBNBlock_{i}.BatchNorm_0"
        mean, variance = (tensors[f"batch_stats.{norm}.{name}"].double() for name in ("mean", "var"))
        scale, bias = (tensors[f"params.{norm}.{name}"].double() for name in ("scale", "bias"))
        gain = scale / (variance + EPSILON).sqrt()
        weight = kernels[f"params.ConvBNBlock_{i}.Conv_0.kernel"]
        merged = weight * gain.reshape(-1, 1, 1, 1)
        layers.append((merged.to(weight.dtype), (bias - mean * gain).to(weight.dtype)))
    end = kernels["params.conv_end.kernel"][:1]
    return [*layers, (end, torch.zeros(1))]


def _weight(kernel: Tensor) -> Tensor:
    """Flax keeps the channels last, (y, x, n_in, n_out)."""
    return kernel.permute(3, 2, 0, 1).contiguous()


def _odd(k: int) -> int:
    """The length of kernels that have a centre."""
    if k % 2 == 0:
        raise WeightsError(f"the kernels of a DnCNN have an odd length, these have {k}")
    return k


def _n_blocks(names: Mapping[str, object]) -> int:
    """Layers with a normalisation, between the first and the last."""
    return sum(name.endswith(".Conv_0.kernel") for name in names)
