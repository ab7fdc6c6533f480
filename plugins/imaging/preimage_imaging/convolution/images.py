"""Convolution over some dims of an image by the FFT: periodic, or valid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from preimage.errors import SpaceError
from preimage.operators import SVD, LinearOperator, Norm
from preimage.space import Space, same_field
from preimage_imaging.convolution.fourier_basis import FourierBasis
from preimage_imaging.convolution.torus import Torus, padded, squared


class _Convolution(LinearOperator):
    """What both kinds share: F⁻¹ H F over the dims that are convolved.

    The spectrum of a real image is Hermitian and only half of it is computed. Of a psf that is being learned the
    spectrum is computed in every call, of any other once.
    """

    domain: Space

    def __init__(self, domain: Space, codomain: Space, psf: Tensor, dims: tuple[str, ...], otf: Tensor | None) -> None:
        super().__init__(domain, codomain)
        self.torus = Torus(domain, dims)
        self._psf: Tensor | None = psf.to(same_field(psf.dtype, domain.dtype))
        self._otf: Tensor | None = None
        if not psf.requires_grad:
            self._otf = self.otf if otf is None else otf
            self._psf = None

    @property
    def otf(self) -> Tensor:
        """The optical transfer function H, the spectrum of the psf."""
        if self._otf is not None:
            return self._otf
        assert self._psf is not None
        return self.torus.spectrum(self._periodic(self._psf))

    def _periodic(self, psf: Tensor) -> Tensor:
        """The psf repeated with the period of the image."""
        raise NotImplementedError

    def _filter(self, x: Tensor, response: Tensor) -> Tensor:
        """F⁻¹ (response · F x)."""
        spectrum = self.torus.spectrum(x)
        if torch.is_grad_enabled() or response.ndim > spectrum.ndim:
            return self.torus.image(spectrum * response)
        spectrum *= response
        return self.torus.image(spectrum)


class PeriodicConvolution(_Convolution):
    """y = psf ∗ x on a torus: what leaves an image at one edge enters it at the other.

    Parameters
    ----------
    domain : space of the image and of the data.
    psf : the kernel, (*batch, one axis for each dim of the domain): of any length along `dims`, along the others of
        the image's or 1. Its centre is element n // 2 of a length n, as after `fftshift`. Complex for complex images
        only.
    dims : dims that are convolved.
    otf : the spectrum of the psf, where it is known from another operator of these spaces.
    """

    def __init__(self, domain: Space, psf: Tensor, dims: tuple[str, ...], otf: Tensor | None = None) -> None:
        check_psf(domain, psf, dims)
        super().__init__(domain, domain, psf, dims, otf)

    def _periodic(self, psf: Tensor) -> Tensor:
        """With the centre at index 0."""
        return self.torus.centred(psf)

    def _apply(self, x: Tensor) -> Tensor:
        return self._filter(x, self.otf)

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return self._filter(y, self.otf.conj())

    def _apply_normal(self, x: Tensor) -> Tensor:
        return self._filter(x, squared(self.otf))

    def _bound(self) -> Norm:
        return Norm(float(self.otf.abs().max()), "exact")

    def solve_normal(self, rhs: Tensor, damping: Any) -> Tensor:
        """Divide by |H|² + damping in the Fourier domain: the filter of Wiener."""
        return self._filter(rhs, 1 / (squared(self.otf) + damping))

    def pinv(self, y: Tensor) -> Tensor:
        """Divide by H in the Fourier domain, and leave out what the psf does not pass."""
        otf = self.otf
        passed = _passed(otf)
        return self._filter(y, passed / torch.where(passed, otf, 1))

    def svd(self) -> SVD:
        """V = F⁻¹, s = |H| and Uᴴ = e^(−i arg H) F, with the Hartley transform for F where images are real."""
        if self._psf is not None:
            return self._decomposed()
        if "_svd" not in self.__dict__:
            self.__dict__["_svd"] = self._decomposed()  # remembered, not a change: the operator means the same
        return self.__dict__["_svd"]  # type: ignore[no-any-return]

    def _decomposed(self) -> SVD:
        otf = self.otf if self.domain.is_complex else torch.fft.fftn(self.torus.image(self.otf), dim=self.torus.axes)
        passed = _passed(otf)
        size = torch.where(passed, otf.abs(), 0)
        phase = torch.where(passed, otf.sgn(), 0)
        dims = self.torus.dims
        return SVD(FourierBasis(self.domain, dims).H, size, FourierBasis(self.domain, dims, phase))


class ValidConvolution(_Convolution):
    """y = psf ∗ x where the whole psf lies inside the image: nothing is assumed of what is outside.

    The data are shorter than the image by the length of the psf less one, and have dims of their own.

    Parameters
    ----------
    domain : space of the image.
    psf : the kernel, (*batch, one axis for each dim of the domain): no longer than the image along `dims`, along the
        others of the image's length or 1. Complex for complex images only.
    dims : dims that are convolved.
    otf : the spectrum of the psf, where it is known from another operator of these spaces.
    """

    def __init__(self, domain: Space, psf: Tensor, dims: tuple[str, ...], otf: Tensor | None = None) -> None:
        check_psf(domain, psf, dims)
        kernel = {dim: psf.shape[domain.axis(dim)] for dim in dims}
        super().__init__(domain, valid_space(domain, kernel), psf, dims, otf)
        self._lost = tuple(n - 1 for n in kernel.values())

    def _periodic(self, psf: Tensor) -> Tensor:
        """With the first element at index 0, so that it is the first results that reach round the edge."""
        return self.torus.wrapped(psf)

    def _apply(self, x: Tensor) -> Tensor:
        full = self._filter(x, self.otf)
        for axis, lost in zip(self.torus.axes, self._lost, strict=True):
            full = full.narrow(axis, lost, full.shape[axis] - lost)
        return full.contiguous()

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        for axis, lost in zip(self.torus.axes, self._lost, strict=True):
            y = padded(y, axis, before=lost)
        return self._filter(y, self.otf.conj())

    def _bound(self) -> Norm:
        return Norm(float(self.otf.abs().max()), "upper")  # of the periodic convolution, of which this is a part


MEASURED = "_valid"
"""What the dims of a valid convolution's data are called: one name must not have two lengths."""


def valid_space(domain: Space, kernel: Mapping[str, int]) -> Space:
    """The space of the data of a valid convolution.

    Parameters
    ----------
    kernel : length of the psf along the dims that are convolved.

    Raises
    ------
    SpaceError : the psf is longer than the image.
    """
    for dim, n in kernel.items():
        if n > domain.sizes[dim]:
            raise SpaceError(
                f"a valid convolution needs a psf no longer than the image: along {dim!r} it has {n}, "
                f"the image {domain.sizes[dim]}"
            )
    dims = tuple(dim + MEASURED if dim in kernel else dim for dim in domain.dims)
    shape = tuple(n - kernel.get(dim, 1) + 1 for dim, n in domain.sizes.items())
    return Space(dims, shape, domain.dtype)


def check_psf(domain: Space, psf: Tensor, dims: tuple[str, ...]) -> None:
    """Check that images of a space can be convolved with a psf.

    Raises
    ------
    SpaceError : its axes are not the domain's, or it is complex and images are real.
    """
    if not dims:
        raise SpaceError("a convolution needs at least one dim")
    shape = psf.shape[psf.ndim - domain.ndim :]
    fits = psf.ndim >= domain.ndim and all(
        n == 1 or dim in dims or n == domain.sizes[dim] for dim, n in zip(domain.dims, shape, strict=True)
    )
    if not fits or psf.numel() == 0:
        raise SpaceError(
            f"a psf over {', '.join(dims)} of the image {domain.sizes} has one axis for each of its dims, "
            f"of length 1 or the image's along the others: this one has the shape {tuple(psf.shape)}"
        )
    if psf.is_complex() and not domain.is_complex:
        raise SpaceError("a complex psf makes complex data: it needs complex images, these are real")


def _passed(otf: Tensor) -> Tensor:
    """True for the frequencies that the psf passes: where H is more than what rounding makes of a zero."""
    size = otf.abs()
    return size > 8 * torch.finfo(size.dtype).eps * size.max()
