"""Convolution of which neither the image nor the kernel is known."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from preimage.errors import RequestError
from preimage.operators import Operator
from preimage.space import Blocks, ProductSpace, Space
from preimage_imaging.convolution.images import PeriodicConvolution, ValidConvolution, valid_space
from preimage_imaging.convolution.kernels import (
    Lift,
    PeriodicKernelConvolution,
    ValidKernelConvolution,
    kernel_space,
)
from preimage_imaging.convolution.torus import Torus

_Fixed = PeriodicConvolution | ValidConvolution | PeriodicKernelConvolution | ValidKernelConvolution

IMAGE, KERNEL = "image", "kernel"


class _BlindConvolution(Operator):
    """What both kinds share. A brighter image and a fainter kernel, or both shifted, give the same data."""

    domain: ProductSpace
    codomain: Space
    multilinear = True
    ambiguity = frozenset({"scale", "shift"})

    def __init__(self, image: Space, kernel: Space, codomain: Space, start_sigma: float) -> None:
        super().__init__(ProductSpace(image=image, kernel=kernel), codomain)
        self.lift = Lift(image, kernel)
        self.torus = Torus(image, self.lift.dims)
        self.start_sigma = start_sigma

    def _of_image(self, kernel: Tensor) -> PeriodicConvolution | ValidConvolution:
        """The operator of the image for a known kernel, which has one axis for each dim of the image."""
        raise NotImplementedError

    def _of_kernel(self, image: Tensor) -> PeriodicKernelConvolution | ValidKernelConvolution:
        """The operator of the kernel for a known image."""
        raise NotImplementedError

    def _start(self, y: Tensor) -> Tensor:
        """The data as an image."""
        raise NotImplementedError

    def _convolved(self, image: Tensor, kernel: Tensor) -> Tensor:
        """On the torus."""
        return self.torus.image(self.torus.spectrum(image) * self.torus.spectrum(kernel))

    def fix(self, **known: Any) -> _Fixed:
        """The convolution of images by a known kernel, or of a known image by kernels."""
        if set(known) == {KERNEL}:
            return self._of_image(self.lift.up(self.domain[KERNEL].check(known[KERNEL])))
        if set(known) == {IMAGE}:
            return self._of_kernel(self.domain[IMAGE].check(known[IMAGE]))
        raise RequestError(f"fix either the image or the kernel; fixed were {', '.join(known) or 'none'}")

    def initial(self, y: Tensor, seed: int = 0) -> Blocks:
        """The data as image, and a Gaussian or a delta as kernel."""
        kernel = self.domain[KERNEL]
        shape = torch.ones((), dtype=kernel.dtype, device=y.device)
        for axis, n in zip(self.torus.axes, self.lift.lengths, strict=True):
            profile = self._profile(n, y.device).to(kernel.dtype)
            shape = shape * profile.reshape([n] + [1] * (-axis - 1))
        batch = self.codomain.batch(y)
        return Blocks(image=self._start(y), kernel=self.lift.down(shape.expand(*batch, *self.lift.shape)).clone())

    def _profile(self, n: int, device: torch.device) -> Tensor:
        """The kernel that an iteration starts from along one dim: its sum is 1, its centre element n // 2."""
        distance = torch.arange(n, dtype=torch.float64, device=device) - n // 2
        if not self.start_sigma:
            return (distance == 0).double()
        profile = torch.exp(-0.5 * (distance / self.start_sigma) ** 2)
        return profile / profile.sum()


class PeriodicBlindConvolution(_BlindConvolution):
    """y = kernel ∗ image on a torus; the kernel's centre is element n // 2 of a length n.

    Parameters
    ----------
    image : space of the image, and of the data.
    lengths : of the kernel along the dims that are convolved.
    own : dims along which every image has a kernel of its own.
    start_sigma : standard deviation in pixels of the Gaussian kernel of `initial`; 0 for a delta.
    """

    def __init__(
        self, image: Space, lengths: Mapping[str, int], own: Collection[str] = (), start_sigma: float = 0.0
    ) -> None:
        super().__init__(image, kernel_space(image, lengths, own), image, start_sigma)

    def _apply(self, x: Blocks) -> Tensor:
        return self._convolved(x[IMAGE], self.torus.centred(self.lift.up(x[KERNEL])))

    def _of_image(self, kernel: Tensor) -> PeriodicConvolution:
        return PeriodicConvolution(self.domain[IMAGE], kernel, self.lift.dims)

    def _of_kernel(self, image: Tensor) -> PeriodicKernelConvolution:
        return PeriodicKernelConvolution(self.domain[KERNEL], self.domain[IMAGE], image)

    def _start(self, y: Tensor) -> Tensor:
        return y.clone()


class ValidBlindConvolution(_BlindConvolution):
    """y = kernel ∗ image where the whole kernel lies inside the image.

    Parameters
    ----------
    image : space of the image; the data are shorter by the length of the kernel less one.
    lengths : of the kernel along the dims that are convolved.
    own : dims along which every image has a kernel of its own.
    start_sigma : standard deviation in pixels of the Gaussian kernel of `initial`; 0 for a delta.
    """

    def __init__(
        self, image: Space, lengths: Mapping[str, int], own: Collection[str] = (), start_sigma: float = 0.0
    ) -> None:
        super().__init__(image, kernel_space(image, lengths, own), valid_space(image, lengths), start_sigma)

    def _apply(self, x: Blocks) -> Tensor:
        full = self._convolved(x[IMAGE], self.lift.up(x[KERNEL]))
        for axis, n in zip(self.torus.axes, self.lift.lengths, strict=True):
            full = full.narrow(axis, n - 1, full.shape[axis] - n + 1)
        return full.contiguous()

    def _of_image(self, kernel: Tensor) -> ValidConvolution:
        return ValidConvolution(self.domain[IMAGE], kernel, self.lift.dims)

    def _of_kernel(self, image: Tensor) -> ValidKernelConvolution:
        return ValidKernelConvolution(self.domain[KERNEL], self.domain[IMAGE], image)

    def _start(self, y: Tensor) -> Tensor:
        """Its edges are repeated outwards, where there are no data."""
        for axis, n, period in zip(self.torus.axes, self.lift.lengths, self.torus.periods, strict=True):
            nearest = torch.arange(period, device=y.device) - (n - 1 - n // 2)
            y = y.index_select(axis, nearest.clamp(0, y.shape[axis] - 1))
        return y
