"""Cartesian MRI of an image, or of coil images: y = M F x."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from preimage.operators import SVD, LinearOperator, Norm
from preimage.space import Space
from preimage_mri.dims import in_image_space
from preimage_mri.encoding.kspace_sampling import KspaceSampling, arranged, restored
from preimage_mri.encoding.slabs import Index


class MaskedFourier(LinearOperator):
    """The centred unitary Fourier transform and a sampling mask.

    A unitary map and a mask: inverse, singular values and the damped inverse of the normal operation are
    known in closed form.

    Parameters
    ----------
    codomain : the space of the data; its dims kx, ky, kz are transformed, and are x, y, z in the domain.
    mask : bool, with one axis for each dim of the codomain: of the same length, or of length 1 where it
        does not vary. True where k-space was sampled.
    """

    domain: Space
    codomain: Space

    def __init__(self, codomain: Space, mask: Tensor) -> None:
        super().__init__(Space(in_image_space(codomain.dims), codomain.shape, codomain.dtype), codomain)
        self.mask = mask
        self.sampling = KspaceSampling(codomain, mask)

    def _apply(self, x: Tensor) -> Tensor:
        return self._in_slabs(x, self.sampling.slabs_of_transform, self.sampling.forward)

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return self._in_slabs(y, self.sampling.slabs_of_transform, self.sampling.adjoint)

    def _apply_normal(self, x: Tensor) -> Tensor:
        return self._in_slabs(x, self.sampling.slabs_of_normal, self.sampling.normal)

    def _in_slabs(
        self,
        x: Tensor,
        slabs: Callable[[torch.Size, Tensor], Iterator[Index]],
        function: Callable[[Tensor, Index], Tensor],
    ) -> Tensor:
        order = self.sampling.order
        inside = arranged(x, order)
        if torch.is_grad_enabled():
            return restored(function(inside, ()), order)
        out = x.new_empty(x.shape)
        into = arranged(out, order)
        for slab in slabs(inside.shape, inside):
            into[slab] = function(inside[slab], slab)
        return out

    def _bound(self) -> Norm:
        return Norm(1.0, "exact")

    def solve_normal(self, rhs: Tensor, damping: float | Tensor) -> Tensor:
        """(AᴴA + damping·I)⁻¹ rhs: a division in k-space."""
        order = self.sampling.order
        return restored(self.sampling.solve_normal(arranged(rhs, order), damping), order)

    def pinv(self, y: Tensor) -> Tensor:
        """A⁺ = Aᴴ, since all singular values are 0 or 1."""
        return self.adjoint(y)  # type: ignore[no-any-return]

    def svd(self) -> SVD:
        """V = Fᴴ, s = M, and Uᴴ = M takes what was not measured to 0."""
        return SVD(self.fourier().H, self.mask.to(self.codomain.dtype.to_real()), Masking(self.codomain, self.mask))

    def fourier(self) -> MaskedFourier:
        """F: the same transform where all of k-space is sampled."""
        return MaskedFourier(self.codomain, self.mask.new_ones((1,) * self.codomain.ndim))

    def transform(self, x: Tensor) -> Tensor:
        """F x."""
        return self.fourier()(x)  # type: ignore[no-any-return]

    def inverse_transform(self, spectrum: Tensor) -> Tensor:
        """F⁻¹ of a k-space."""
        return self.fourier().adjoint(spectrum)  # type: ignore[no-any-return]

    def sampling_mask(self) -> Tensor:
        """M."""
        return self.mask


class Masking(LinearOperator):
    """y ↦ M y."""

    def __init__(self, space: Space, mask: Tensor) -> None:
        super().__init__(space, space)
        self.mask = mask

    def _apply(self, x: Tensor) -> Tensor:
        return x * self.mask

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return y * self.mask

    def _apply_normal(self, x: Tensor) -> Tensor:
        return x * self.mask

    def _bound(self) -> Norm:
        return Norm(1.0, "exact")
