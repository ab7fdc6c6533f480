"""The Fourier transform and the sampling of coil images, in the layout and the pieces in which they are fastest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, fft

from preimage.errors import SpaceError
from preimage.movable import Movable
from preimage.space import Space
from preimage_mri.dims import COIL, kspace_dims
from preimage_mri.encoding.slabs import Index, cut, slabs
from preimage_mri.fourier import centred_fft, centred_ifft


class KspaceSampling(Movable):
    """M F of coil images, for tensors in its own order of dims.

    FᴴMF needs far less than F and Fᴴ. Centring cancels: Fᴴ M F = F₀⁻¹ M₀ F₀ with the plain transform F₀ and
    the mask M₀ with frequency 0 first, so the mask is shifted once and data never are. And along dims where
    the mask does not vary the transform cancels too. The order is therefore: coils, dims where nothing is
    undersampled, undersampled dims, which are contiguous; slabs are cut along the first two.

    Parameters
    ----------
    codomain : the space of the data; its dims kx, ky, kz are transformed.
    mask : bool, with one axis for each dim of the codomain: of the same length, or of length 1 where it
        does not vary. True where k-space was sampled.

    Attributes
    ----------
    dims : the order of the dims.
    """

    def __init__(self, codomain: Space, mask: Tensor) -> None:
        fits = mask.ndim == codomain.ndim and all(n in (1, m) for n, m in zip(mask.shape, codomain.shape, strict=True))
        if not fits or mask.dtype != torch.bool:
            raise SpaceError(
                f"the mask must be bool and have an axis for each of {', '.join(codomain.dims)}, of length 1 where it "
                f"does not vary: it is {mask.dtype} of shape {tuple(mask.shape)} for data of {codomain.shape}"
            )
        varies = {dim for dim, n in zip(codomain.dims, mask.shape, strict=True) if n > 1}
        transformed = kspace_dims(codomain.dims)
        undersampled = [dim for dim in transformed if dim in varies]
        coils = [dim for dim in codomain.dims if dim == COIL]
        self.dims = (*coils, *(dim for dim in codomain.dims if dim not in {COIL, *undersampled}), *undersampled)
        self.order = tuple(codomain.axis(dim) for dim in self.dims)
        self._transformed = self._axes(transformed)
        self._undersampled = self._axes(undersampled)
        self._mask = arranged(mask, self.order)
        self._mask_from_zero = fft.ifftshift(self._mask, dim=self._undersampled) if undersampled else self._mask
        signs = self._mask_from_zero.to(torch.int8)
        self._conjugating_mask = torch.stack([signs, -signs], -1)  # of real and of imaginary parts

    def _axes(self, dims: Sequence[str]) -> tuple[int, ...]:
        return tuple(self.dims.index(dim) - len(self.dims) for dim in dims)

    def slabs_of_transform(self, shape: Sequence[int], like: Tensor) -> Iterator[Index]:
        """Slabs that hold whole transforms, of a tensor of this shape with the dtype and device of another."""
        return self._slabs(shape, like, self._transformed)

    def slabs_of_normal(self, shape: Sequence[int], like: Tensor) -> Iterator[Index]:
        """Slabs that hold the undersampled dims whole."""
        return self._slabs(shape, like, self._undersampled)

    def _slabs(self, shape: Sequence[int], like: Tensor, whole: tuple[int, ...]) -> Iterator[Index]:
        ndim = len(shape)
        coil = [ndim - len(self.dims)] if self.dims[0] == COIL else []
        others = [axis for axis in range(ndim) if axis not in coil and axis - ndim not in whole]
        return slabs(shape, [*others, *coil], like.element_size(), like.device)

    def forward(self, images: Tensor, slab: Index = ()) -> Tensor:
        """M F x."""
        return centred_fft(images, self._transformed) * cut(self._mask, slab)

    def adjoint(self, kspace: Tensor, slab: Index = ()) -> Tensor:
        """Fᴴ M y."""
        return centred_ifft(kspace * cut(self._mask, slab), self._transformed)

    def normal(self, images: Tensor, slab: Index = ()) -> Tensor:
        """Fᴴ M F x."""
        if not self._undersampled:
            return images * cut(self._mask, slab)
        kspace = fft.fftn(images, dim=self._undersampled)
        kspace *= cut(self._mask_from_zero, slab)  # our own temporary: in place is allowed
        return fft.ifftn(kspace, dim=self._undersampled)  # type: ignore[no-any-return]

    def conjugate_normal(self, images: Tensor, slab: Index) -> Tensor:
        """The complex conjugate of FᴴMF x, which costs less; it records no gradient.

        F⁻¹k is the conjugate of F k̄ / n, and the mask conjugates k on its way: it multiplies real and imaginary
        parts, which is cheaper than complex numbers. So who multiplies by the conjugate of something need not
        conjugate that, which would take a copy.
        """
        if not self._undersampled:
            return (images * cut(self._mask, slab)).conj_physical_()
        images = fft.fftn(images, dim=self._undersampled)  # by one name: the images themselves are let go
        torch.view_as_real(images).mul_(cut(self._conjugating_mask, (*slab, slice(None))))
        return fft.fftn(images, dim=self._undersampled, norm="forward")  # type: ignore[no-any-return]

    def solve_normal(self, images: Tensor, damping: float | Tensor) -> Tensor:
        """(Fᴴ M F + damping)⁻¹ x."""
        kspace = fft.fftn(images, dim=self._undersampled)
        eigenvalues = self._mask_from_zero.to(images.dtype.to_real())
        return fft.ifftn(kspace / (eigenvalues + damping), dim=self._undersampled)  # type: ignore[no-any-return]


def arranged(x: Tensor, order: tuple[int, ...]) -> Tensor:
    """A view of a tensor (*batch, *dims) with its dims in another order."""
    batch = x.ndim - len(order)
    return x.permute(*range(batch), *(axis + x.ndim for axis in order))


def restored(x: Tensor, order: tuple[int, ...]) -> Tensor:
    """The inverse of `arranged`."""
    n = len(order)
    back = sorted(range(n), key=order.__getitem__)
    return arranged(x, tuple(axis - n for axis in back))
