"""The network of DnCNN: what is noise in an image."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class DnCNN(nn.Module):
    """Convolutions with rectifiers between them, from a noisy image to its noise.

    Its state has KAIR's names: `model.0.weight`, `model.0.bias`, `model.2.weight`, … Weights record no gradient until
    they are told to by `requires_grad_`.

    Parameters
    ----------
    layers : weight (n_out, n_in, k, k) and bias (n_out,) of each convolution, k odd. The first has one channel, the
        image, or two, the image and the level of its noise; the last has one, the noise.
    circular : whether every layer repeats itself beyond its edges, as in training; else it is 0 there.

    References
    ----------
    Zhang, Zuo, Chen, Meng & Zhang, Beyond a Gaussian denoiser: residual learning of deep CNN for image denoising, 2017.
    """

    def __init__(self, layers: Iterable[tuple[Tensor, Tensor]], *, circular: bool) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for weight, bias in layers:
            modules += [_convolution(weight, bias, padded=not circular), nn.ReLU()]
        self.model = nn.Sequential(*modules[:-1])
        self.circular = circular
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a quarter faster on a CPU

    @property
    def told_the_level(self) -> bool:
        """Whether the level of the noise is its second channel."""
        return self._convolutions()[0].in_channels == 2

    @property
    def width(self) -> int:
        """The most channels between its layers."""
        return max(layer.out_channels for layer in self._convolutions())

    def forward(self, x: Tensor) -> Tensor:
        """The noise in images (image, channel, y, x)."""
        if self.circular:  # every layer on its own would copy all its channels
            reach = sum(layer.kernel_size[0] // 2 for layer in self._convolutions())
            x = _repeated(_repeated(x, -2, reach), -1, reach)
        for layer in self.model:
            rectifies = isinstance(layer, nn.ReLU)
            x = x.relu_() if rectifies and not torch.is_grad_enabled() else layer(x)
        return x

    def _convolutions(self) -> list[nn.Conv2d]:
        return [layer for layer in self.model if isinstance(layer, nn.Conv2d)]


def _convolution(weight: Tensor, bias: Tensor, *, padded: bool) -> nn.Conv2d:
    n_out, n_in, k, _ = weight.shape
    padding = k // 2 if padded else 0
    layer = nn.Conv2d(n_in, n_out, k, padding=padding, device="meta")  # weights are given: none are drawn
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer


def _repeated(x: Tensor, axis: int, reach: int) -> Tensor:
    """X with as many pixels more at both ends of an axis as it reaches, those of the other end."""
    n = x.shape[axis]
    return x.index_select(axis, torch.arange(-reach, n + reach, device=x.device) % n)
