"""The unitary Fourier basis, in which convolutions are diagonal; for real images a real one."""

from __future__ import annotations

import torch
from torch import Tensor

from preimage.operators import LinearOperator, Norm
from preimage.space import Space


class FourierBasis(LinearOperator):
    """The analysis c = B (e^(−iφ) ∗ x), with B the unitary FFT, or for real images the Hartley transform.

    The Hartley transform Re F − Im F is real, orthonormal and its own inverse. A real convolution whose spectrum is
    even and real is diagonal in it; the phase φ of any other is undone in the Fourier domain before.

    Parameters
    ----------
    domain : space of the image.
    dims : dims that are transformed.
    phase : e^(iφ) over the whole spectrum, of absolute value 1 or 0, and Hermitian where images are real; none: 1.

    References
    ----------
    Bracewell, Discrete Hartley transform, JOSA 1983.
    """

    domain: Space

    def __init__(self, domain: Space, dims: tuple[str, ...], phase: Tensor | None = None) -> None:
        names = tuple(f"frequency_{dim}" if dim in dims else dim for dim in domain.dims)
        super().__init__(domain, Space(names, domain.shape, domain.dtype))
        self.axes = tuple(domain.axis(dim) for dim in dims)
        self.phase = phase

    def _apply(self, x: Tensor) -> Tensor:
        spectrum: Tensor = torch.fft.fftn(x, dim=self.axes, norm="ortho")
        if self.phase is not None:
            spectrum = spectrum * self.phase.conj()
        return spectrum if self.domain.is_complex else spectrum.real - spectrum.imag

    def _apply_adjoint(self, c: Tensor) -> Tensor:
        spectrum = c if self.domain.is_complex else torch.complex(c, -c)
        if self.phase is not None:
            spectrum = spectrum * self.phase
        image: Tensor = torch.fft.ifftn(spectrum, dim=self.axes, norm="ortho")
        return image if self.domain.is_complex else image.real

    def _bound(self) -> Norm:
        return Norm(1.0 if self.phase is None else float(self.phase.abs().max()), "exact")
