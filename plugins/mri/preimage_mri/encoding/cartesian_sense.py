"""Cartesian multi-coil MRI: y = M F (S x)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import groupby

import torch
from torch import Tensor

from preimage.errors import SpaceError
from preimage.operators import LinearOperator, Norm
from preimage.space import Factor, Space
from preimage_mri.dims import COIL, comma, in_image_space, without_coil
from preimage_mri.encoding.kspace_sampling import KspaceSampling, arranged, restored
from preimage_mri.encoding.slabs import Index, cut


class CartesianSense(LinearOperator):
    """Sensitivity-encoded Cartesian sampling.

    All coils of a few slices at a time go through everything, so that they stay in the cache.

    Parameters
    ----------
    sensitivities : complex, with one axis for each dim of the codomain, in image space: of the same length,
        or of length 1 where they do not vary, as along time; leading batch dims are allowed.
    mask : bool, with one axis for each dim of the codomain: of the same length, or of length 1 where it
        does not vary. True where k-space was sampled.
    codomain : the space of the data, with a dim `coil`; its dims kx, ky, kz are transformed, and are x, y, z
        in the domain.

    References
    ----------
    Pruessmann et al., SENSE: sensitivity encoding for fast MRI, Magnetic Resonance in Medicine 42, 1999.
    """

    domain: Space
    codomain: Space

    def __init__(self, sensitivities: Tensor, mask: Tensor, codomain: Space) -> None:
        _check(sensitivities, codomain)
        lengths = tuple(codomain.sizes[dim] for dim in without_coil(codomain.dims))
        super().__init__(Space(in_image_space(without_coil(codomain.dims)), lengths, codomain.dtype), codomain)
        self.mask = mask
        self.sampling = KspaceSampling(codomain, mask)
        self.sensitivities = arranged(sensitivities, self.sampling.order).contiguous()
        image_dims = in_image_space(without_coil(self.sampling.dims))
        self._image_order = tuple(self.domain.axis(dim) for dim in image_dims)
        self._coil = -codomain.ndim

    def _apply(self, x: Tensor) -> Tensor:
        x = self._with_coil(x)
        if torch.is_grad_enabled():
            return restored(self.sampling.forward(self.sensitivities * x), self.sampling.order)
        shape = self._shape(x)
        y = x.new_empty((*shape[: self._coil], *self.codomain.shape))
        into = arranged(y, self.sampling.order)
        for slab in self.sampling.slabs_of_transform(shape, x):
            into[slab] = self.sampling.forward(cut(self.sensitivities, slab) * cut(x, slab), slab)
        return y

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        y = arranged(y, self.sampling.order)
        if torch.is_grad_enabled():
            return self._without_coil((self.sampling.adjoint(y) * self.sensitivities.conj()).sum(self._coil, True))
        shape = self._shape(y)
        x = self._empty(shape, y).zero_()
        for slab in self.sampling.slabs_of_transform(shape, y):
            images = self.sampling.adjoint(cut(y, slab), slab) * cut(self.sensitivities, slab).conj()
            cut(x, slab).add_(images.sum(self._coil, keepdim=True))
        return self._without_coil(x)

    def _apply_normal(self, x: Tensor) -> Tensor:
        x = self._with_coil(x)
        if torch.is_grad_enabled():
            images = self.sampling.normal(self.sensitivities * x) * self.sensitivities.conj()
            return self._without_coil(images.sum(self._coil, True))
        out = self._empty(self._shape(x), x)
        for region, part in self._normal_by_region(x):
            cut(out, region).copy_(part)
        return self._without_coil(out)

    def _add_normal(self, y: Tensor, x: Tensor, alpha: Factor) -> Tensor:
        if isinstance(alpha, Tensor):
            return super()._add_normal(y, x, alpha)  # type: ignore[no-any-return]
        into = self._with_coil(y)
        for region, part in self._normal_by_region(self._with_coil(x)):
            cut(into, region).add_(part, alpha=alpha)
        return y

    def _normal_by_region(self, x: Tensor) -> Iterator[tuple[Index, Tensor]]:
        """AᴴA x region by region, each of which depends on the same region of x alone."""
        x = x.contiguous()  # an image is small beside its coils: moved once, every slab reads and writes in order
        slabs = self.sampling.slabs_of_normal(self._shape(x), x)
        for region, slabs_of_region in groupby(slabs, self._region):
            sums = (self._conjugate_normal(x, slab) for slab in slabs_of_region)
            yield region, reduce(Tensor.add_, sums).conj_physical_()

    def _conjugate_normal(self, x: Tensor, slab: Index) -> Tensor:
        """The conjugate of what the coils of a slab add to AᴴA x."""
        sensitivities = cut(self.sensitivities, slab)
        images = self.sampling.conjugate_normal(sensitivities * cut(x, slab), slab)
        images *= sensitivities
        return images.sum(self._coil, keepdim=True)

    def _region(self, slab: Index) -> Index:
        """A slab with all coils."""
        axis = len(slab) + self._coil
        return (*slab[:axis], slice(None), *slab[axis + 1 :])

    def _with_coil(self, x: Tensor) -> Tensor:
        """A view of an image in the order of the sampling, with an axis for the coils."""
        return arranged(x, self._image_order).unsqueeze(self._coil)

    def _without_coil(self, x: Tensor) -> Tensor:
        """The inverse: an image in the order of the domain."""
        return restored(x.squeeze(self._coil), self._image_order).contiguous()

    def _shape(self, x: Tensor) -> torch.Size:
        """Shape of all coils: batch dims may be those of x or of the sensitivities."""
        return torch.broadcast_shapes(x.shape, self.sensitivities.shape)  # type: ignore[no-untyped-call, no-any-return]

    def _empty(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """An image for the sum over the coils of a tensor of this shape."""
        one_coil = list(shape)
        one_coil[self._coil] = 1
        return like.new_empty(one_coil)

    def _bound(self) -> Norm:
        """‖A‖² ≤ max Σ |S|² over the voxels, with equality where all of k-space is sampled."""
        sensitivities = self.sensitivities.detach()
        slabs = self.sampling.slabs_of_normal(sensitivities.shape, sensitivities)
        rss = (
            torch.linalg.vector_norm(sensitivities[part], dim=self._coil) for part, _ in groupby(slabs, self._region)
        )
        return Norm(max(float(part.max()) for part in rss), "exact" if bool(self.mask.all()) else "upper")


def _check(sensitivities: Tensor, codomain: Space) -> None:
    """The sensitivities must have an axis for each dim of the data, and their dtype."""
    if COIL not in codomain.dims:
        raise SpaceError(f"data of several coils have a dim {COIL!r}: these have {comma(codomain.dims)}")
    shape = tuple(sensitivities.shape[-codomain.ndim :])
    fits = len(shape) == codomain.ndim and all(
        n == m or (n == 1 and dim != COIL) for dim, n, m in zip(codomain.dims, shape, codomain.shape, strict=True)
    )
    if not fits:
        raise SpaceError(
            f"sensitivities for data of shape {codomain.shape} must have the dims "
            f"{comma(in_image_space(codomain.dims))}, of length 1 where they do not vary: they have the shape {shape}"
        )
    if sensitivities.dtype != codomain.dtype:
        raise SpaceError(f"sensitivities must be {codomain.dtype} as the data are, not {sensitivities.dtype}")
