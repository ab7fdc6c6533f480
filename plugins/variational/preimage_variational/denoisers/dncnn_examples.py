"""Small networks of which it is known what they do, on which the laws of denoisers are checked."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from preimage.weights import Expects, save_weights

HIGH_PASS = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]) / 8
"""What a pixel has more than its neighbours have on average, halved."""


def write_clipping(folder: Path, level: float | None) -> Path:
    """Write the weights of D(x, σ) = x − clip(Hx, −σ, σ), with H a high-pass: it takes away what is small and rough.

    Parameters
    ----------
    level : σ, for a network of one level, stored with KAIR's names; None for one that is told it, with SCICO's.
    """
    path = folder / f"clipping-{level}.safetensors"
    if level is not None:
        save_weights(_of_one_level(level), path, expects=Expects(noise_level=level))
    else:
        save_weights(_told_the_level(), path)
    return path


def _of_one_level(level: float) -> dict[str, Tensor]:
    """clip(h, −σ, σ) = relu(h + σ) − relu(h − σ) − σ."""
    bias = torch.tensor([level, -level])
    return {
        "model.0.weight": torch.stack([HIGH_PASS, HIGH_PASS])[:, None],
        "model.0.bias": bias,
        "model.2.weight": _here(torch.tensor([[1.0, -1.0]])),
        "model.2.bias": -bias[:1],
    }


def _told_the_level() -> dict[str, Tensor]:
    """The same with σ as a channel; the layer between passes on what it gets, its normalisation undoing itself."""
    zero, here = torch.zeros(3, 3), _here(torch.ones(1, 1))[0, 0]
    start = torch.stack([torch.stack([HIGH_PASS, here]), torch.stack([HIGH_PASS, -here]), torch.stack([zero, here])])
    mean, variance = torch.tensor([0.5, -0.2, 0.1]), torch.tensor([0.3, 2.0, 1.0])
    block = "ConvBNBlock_0"
    return {
        "params.conv_start.kernel": _flax(start),
        f"params.{block}.Conv_0.kernel": _flax(_here(torch.eye(3))),
        f"params.{block}.BatchNorm_0.scale": (variance + 1e-5).sqrt(),
        f"params.{block}.BatchNorm_0.bias": mean,
        f"batch_stats.{block}.BatchNorm_0.mean": mean,
        f"batch_stats.{block}.BatchNorm_0.var": variance,
        "params.conv_end.kernel": _flax(_here(torch.tensor([[1.0, -1.0, -1.0], [7.0, 8.0, 9.0]]))),
    }


def _here(matrix: Tensor) -> Tensor:
    """Kernels that mix the channels of a pixel and look at no neighbour, (n_out, n_in, 3, 3)."""
    kernels = torch.zeros(*matrix.shape, 3, 3)
    kernels[..., 1, 1] = matrix
    return kernels


def _flax(weight: Tensor) -> Tensor:
    """Channels last, (3, 3, n_in, n_out)."""
    return weight.permute(2, 3, 1, 0)
