"""Random projections with a dense matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from preimage.errors import SpaceError
from preimage.operators import LinearOperator
from preimage.space import Space

SAMPLE = "sample"


class GaussianMap(LinearOperator):
    """y_i = Σ_j a_ij x_j over some dims of the object, for each index of the others.

    Parameters
    ----------
    domain : space of the object, real or complex.
    dims : dims that are projected, in the object's order; the data have `sample` in their place, as the last dim.
    matrix : complex (sample, number of elements along dims), those of the last of the dims running fastest.
    """

    domain: Space

    def __init__(self, domain: Space, dims: tuple[str, ...], matrix: Tensor) -> None:
        self.lengths = tuple(domain.sizes[dim] for dim in dims)
        super().__init__(domain, projected_space(domain, dims, len(matrix)))
        if matrix.ndim != 2 or matrix.shape[1] != torch.Size(self.lengths).numel() or not matrix.is_complex():
            raise SpaceError(
                f"a matrix over {', '.join(dims)} is complex and has {torch.Size(self.lengths).numel()} columns: "
                f"this one is {matrix.dtype} of shape {tuple(matrix.shape)}"
            )
        self.complex_linear = domain.is_complex
        self.axes = tuple(domain.axis(dim) for dim in dims)
        self.matrix = matrix.to(domain.dtype.to_complex())

    def _apply(self, x: Tensor) -> Tensor:
        pixels = x.movedim(self.axes, self._last).flatten(self._last[0])
        return pixels.to(self.matrix.dtype) @ self.matrix.mT

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        pixels = y @ self.matrix.conj()
        x = pixels.reshape(*pixels.shape[:-1], *self.lengths).movedim(self._last, self.axes)
        return x if self.domain.is_complex else x.real

    @property
    def _last(self) -> tuple[int, ...]:
        """The last axes, as many as there are dims that are projected."""
        return tuple(range(-len(self.axes), 0))


def projected_space(domain: Space, dims: tuple[str, ...], n_samples: int) -> Space:
    """The space of the samples: complex, with `sample` in the place of the projected dims."""
    others = {dim: n for dim, n in domain.sizes.items() if dim not in dims}
    return Space((*others, SAMPLE), (*others.values(), n_samples), domain.dtype.to_complex())
