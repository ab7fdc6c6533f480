"""Convolution of a known image, as a linear operator of the kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from preimage.errors import SpaceError
from preimage.movable import Movable
from preimage.operators import LinearOperator, Norm
from preimage.space import Space
from preimage_imaging.convolution.images import valid_space
from preimage_imaging.convolution.torus import Torus, padded, squared

DENSE = 1024
"""Pixels of a kernel up to which its norm is that of a matrix: some tenths of a second, and eight times for twice."""


def kernel_space(image: Space, lengths: Mapping[str, int], own: Collection[str] = ()) -> Space:
    """The space of a kernel.

    Parameters
    ----------
    lengths : of the kernel along the dims that are convolved; along the dim `x` it has the dim `psf_x`.
    own : dims along which every image has a kernel of its own; along all others they share one.

    Raises
    ------
    SpaceError : the kernel is longer than the image, so that parts of it could not be told apart.
    """
    for dim, n in lengths.items():
        if n > image.sizes[dim]:
            raise SpaceError(
                f"the kernel is {n} long along {dim!r}, the image {image.sizes[dim]}: choose a shorter one"
            )
    sizes = {
        psf_dim(dim) if dim in lengths else dim: lengths.get(dim, n)
        for dim, n in image.sizes.items()
        if dim in lengths or dim in own
    }
    return Space(tuple(sizes), tuple(sizes.values()), image.dtype)


def psf_dim(dim: str) -> str:
    """The dim of a kernel that belongs to a dim of the image."""
    return f"psf_{dim}"


class Lift(Movable):
    """Kernels with one axis for each dim of the image, of length 1 where images share one.

    Attributes
    ----------
    dims : dims that are convolved.
    lengths : of the kernel along them.
    shared : axes along which images share a kernel.
    """

    def __init__(self, image: Space, kernel: Space) -> None:
        self.kernel = kernel.shape
        self.shape = tuple(kernel.sizes.get(psf_dim(dim), kernel.sizes.get(dim, 1)) for dim in image.dims)
        self.dims = tuple(dim for dim in image.dims if psf_dim(dim) in kernel.dims)
        self.lengths = tuple(kernel.sizes[psf_dim(dim)] for dim in self.dims)
        self.shared = tuple(image.axis(dim) for dim in image.dims if not {psf_dim(dim), dim} & set(kernel.dims))

    def up(self, kernel: Tensor) -> Tensor:
        """(*batch, *kernel) as (*batch, one axis for each dim of the image)."""
        return kernel.reshape(*kernel.shape[: kernel.ndim - len(self.kernel)], *self.shape)

    def down(self, kernel: Tensor) -> Tensor:
        """And back."""
        return kernel.reshape(*kernel.shape[: kernel.ndim - len(self.shape)], *self.kernel)


class _KernelConvolution(LinearOperator):
    """What both kinds share: k ↦ F⁻¹ X F k, with X the spectrum of the image."""

    domain: Space
    codomain: Space

    def __init__(self, domain: Space, codomain: Space, space: Space, image: Tensor) -> None:
        super().__init__(domain, codomain)
        self.lift = Lift(space, domain)
        self.torus = Torus(space, self.lift.dims)
        self._image = image if image.requires_grad else None
        self._spectrum = None if image.requires_grad else self.torus.spectrum(image)

    @property
    def spectrum(self) -> Tensor:
        """X; of an image that is being learned it is computed in every call."""
        if self._spectrum is not None:
            return self._spectrum
        assert self._image is not None
        return self.torus.spectrum(self._image)

    @property
    def lags(self) -> Tensor:
        """The image's autocorrelation at the differences of two pixels of the kernel: 0 … n−1, then −(n−1) … −1."""
        return self._remembered("_lags", self._autocorrelation)  # type: ignore[no-any-return]

    def _convolved(self, kernel: Tensor) -> Tensor:
        """The image convolved with kernels that lie on the torus."""
        return self.torus.image(self.torus.spectrum(kernel) * self.spectrum)

    def _correlated(self, y: Tensor) -> Tensor:
        """The correlation of data on the torus with the image, summed over images that share a kernel."""
        return self.torus.image(self._total(self.torus.spectrum(y) * self.spectrum.conj()))

    def _window(self, correlation: Tensor) -> Tensor:
        """The part that a kernel covers of what lies on a torus."""
        for axis, n in zip(self.torus.axes, self.lift.lengths, strict=True):
            correlation = correlation.narrow(axis, 0, n)
        return self.lift.down(correlation)

    def _bound(self) -> Norm:
        """The norm of the periodic convolution, of which a valid one is a part."""
        if math.prod(self.lift.lengths) <= DENSE:
            largest = torch.linalg.eigvalsh(self._gram()).max()
            return Norm(math.sqrt(max(float(largest), 0.0)), "exact")
        # AᴴA is a part of a circulant matrix, the convolution with all lags, and no part has a larger norm.
        power = torch.fft.fftn(self.lags, dim=self.torus.axes).real
        return Norm(math.sqrt(max(float(power.max()), 0.0)), "upper")

    def _gram(self) -> Tensor:
        """AᴴA of the periodic convolution: a Toeplitz matrix (*batch, …, K, K) over the K pixels of a kernel."""
        d = len(self.lift.lengths)
        differences = []
        for i, n in enumerate(self.lift.lengths):
            pixel = torch.arange(n, device=self.lags.device)
            difference = (pixel[:, None] - pixel) % (2 * n - 1)
            differences.append(difference.reshape([n if axis in (i, d + i) else 1 for axis in range(2 * d)]))
        lags = self.lags.movedim(self.torus.axes, tuple(range(-d, 0)))
        index: Any = (..., *differences)
        return lags[index].flatten(-2 * d, -d - 1).flatten(-d)

    def _autocorrelation(self) -> Tensor:
        lags = self.torus.image(self._total(squared(self.spectrum)))
        for axis, n, period in zip(self.torus.axes, self.lift.lengths, self.torus.periods, strict=True):
            differences = torch.cat([torch.arange(n), torch.arange(1 - n, 0)]) % period
            lags = lags.index_select(axis, differences.to(lags.device))
        return lags

    def _total(self, spectrum: Tensor) -> Tensor:
        """The sum over images that share a kernel."""
        return spectrum.sum(self.lift.shared, keepdim=True) if self.lift.shared else spectrum

    def _remembered(self, name: str, make: Callable[[], Any]) -> Any:
        """What follows from the image, computed once; not of one that is being learned."""
        if self._spectrum is None:
            return make()
        if name not in self.__dict__:
            self.__dict__[name] = make()  # remembered, not a change: the operator means the same
        return self.__dict__[name]


class PeriodicKernelConvolution(_KernelConvolution):
    """k ↦ k ∗ x on a torus, for a known image x.

    AᴴA is the convolution with the autocorrelation of x at the lags that two pixels of a kernel may have. It is
    computed by an FFT of twice the kernel's length, whatever the size of the image.

    Parameters
    ----------
    domain : of the kernel, see `kernel_space`.
    space : of the image, and of the data.
    image : x, (*batch, *space).
    """

    def __init__(self, domain: Space, space: Space, image: Tensor) -> None:
        super().__init__(domain, space, space, image)
        dims, shape = space.dims, self.lift.shape
        doubled = tuple(2 * n - 1 if dim in self.lift.dims else n for dim, n in zip(dims, shape, strict=True))
        self.small = Torus(Space(dims, doubled, space.dtype), self.lift.dims)

    def _apply(self, k: Tensor) -> Tensor:
        return self._convolved(self.torus.centred(self.lift.up(k)))

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        centres = [n // 2 for n in self.lift.lengths]
        return self._window(self._correlated(y).roll(centres, self.torus.axes))

    def _apply_normal(self, k: Tensor) -> Tensor:
        power = self.small.spectrum(self.lags).real
        return self._window(self.small.image(self.small.spectrum(self.lift.up(k)) * power))

    def solve_normal(self, rhs: Tensor, damping: Any) -> Tensor:
        """By the eigenvectors of AᴴA, a matrix over the pixels of a kernel."""
        values, vectors = self._remembered("_eigen", lambda: tuple(torch.linalg.eigh(self._gram())))
        d = len(self.lift.lengths)
        lifted = self.lift.up(rhs).movedim(self.torus.axes, tuple(range(-d, 0)))
        if isinstance(damping, Tensor) and damping.ndim:
            batch = damping.shape[: damping.ndim - self.domain.ndim]
            damping = damping.reshape(*batch, *[1] * (len(self.lift.shape) - d + 1))
        coefficients = (vectors.mH @ lifted.flatten(-d).unsqueeze(-1)).squeeze(-1) / (values.clamp_min(0) + damping)
        solved = (vectors @ coefficients.unsqueeze(-1)).reshape(lifted.shape)
        return self.lift.down(solved.movedim(tuple(range(-d, 0)), self.torus.axes))


class ValidKernelConvolution(_KernelConvolution):
    """k ↦ k ∗ x where the whole kernel lies inside the known image x.

    Parameters
    ----------
    domain : of the kernel, see `kernel_space`.
    space : of the image; the data are shorter by the length of the kernel less one.
    image : x, (*batch, *space).
    """

    def __init__(self, domain: Space, space: Space, image: Tensor) -> None:
        lift = Lift(space, domain)
        super().__init__(domain, valid_space(space, dict(zip(lift.dims, lift.lengths, strict=True))), space, image)

    def _apply(self, k: Tensor) -> Tensor:
        full = self._convolved(self.lift.up(k))
        for axis, n in zip(self.torus.axes, self.lift.lengths, strict=True):
            full = full.narrow(axis, n - 1, full.shape[axis] - n + 1)
        return full.contiguous()

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        for axis, n in zip(self.torus.axes, self.lift.lengths, strict=True):
            y = padded(y, axis, before=n - 1)
        return self._window(self._correlated(y))

    def _bound(self) -> Norm:
        return Norm(super()._bound().value, "upper")
