"""Sparsity of the image, or of its wavelet coefficients: λ‖Ψx‖₁."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import torch
import xarray as xr
from pydantic import AfterValidator, Field
from torch import Tensor

import preimage
from preimage import Memory, hookimpl, split, whole
from preimage.declarations import Axis
from preimage.errors import RequestError
from preimage.movable import Movable
from preimage.space import AnySpace, Space
from preimage_variational.pieces import PIECE
from preimage_variational.priors.l1 import L1Norm
from preimage_variational.transforms.lattice import WAVELETS
from preimage_variational.transforms.wavelet import Wavelet


def _known(wavelet: str) -> str:
    if wavelet not in WAVELETS:
        raise ValueError(f"there is no orthonormal wavelet {wavelet!r}; there are {', '.join(WAVELETS)}")
    return wavelet


class Settings(preimage.Settings):
    """What is sparse, and how much that counts."""

    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-3
    """λ against ½‖Ax − y‖², for data divided by the run's scale unless `compute.normalise` is false."""
    transform: Literal["identity", "wavelet"] = "wavelet"
    """Ψ: the image itself is sparse, or its orthonormal wavelet coefficients are."""
    wavelet: Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(WAVELETS)})] = "db4"
    """Family and number of vanishing moments: haar, db2 … db9, sym2 … sym20, coif1 … coif9. More are smoother, and cost
    more."""
    levels: Annotated[int, Field(ge=1, le=20)] = 3
    """How often the approximation is transformed again. Lengths need not divide by anything."""
    dims: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Dims along which the wavelet transforms; the others are independent images. All dims if not given."""
    threshold_approximation: bool = False
    """Whether the approximation counts too, the coarse image that is left after all levels and is not sparse."""


class WaveletSparsity(Movable):
    """R(x) = λ‖Ψx‖₁ with Ψ unitary, so that its prox is Ψᴴ · soft threshold · Ψ.

    Magnitudes are thresholded, so a global phase of x is one of the result.

    Parameters
    ----------
    wavelet : Ψ.
    weight : λ.
    threshold_approximation : whether the coarsest approximation counts.

    References
    ----------
    Lustig, Donoho & Pauly, Sparse MRI, 2007.
    """

    def __init__(self, wavelet: Wavelet, weight: float, *, threshold_approximation: bool = False) -> None:
        self.wavelet = wavelet
        self.norm = L1Norm(weight, None if threshold_approximation else wavelet.approximation)

    def value(self, x: Tensor) -> Tensor:
        """λ‖Ψx‖₁."""
        return self.norm.value(self.wavelet(x))

    def prox(self, x: Tensor, step: Any) -> Tensor:
        """Ψᴴ soft(Ψx, step · λ)."""
        if torch.is_grad_enabled():
            return self.wavelet.adjoint(self.norm.prox(self.wavelet(x), step))  # type: ignore[no-any-return]
        return self.wavelet.synthesise_(self.norm.prox_(self.wavelet(x), step))

    def prox_(self, x: Tensor, step: Any) -> Tensor:
        """The same, written over x. Records no gradient."""
        return self.wavelet.synthesise_(self.norm.prox_(self.wavelet.analyse_(x), step))

    def split(self) -> tuple[L1Norm, Wavelet]:
        """‖·‖₁ and Ψ."""
        return self.norm, self.wavelet


@hookimpl
def preimage_prior(settings: Settings, domain: AnySpace) -> L1Norm | WaveletSparsity:
    """The prior on one image."""
    space, dims = _transformed(settings, domain)
    if settings.transform == "identity":
        return L1Norm(settings.weight)
    wavelet = Wavelet(space, dims, settings.wavelet, settings.levels)
    return WaveletSparsity(wavelet, settings.weight, threshold_approximation=settings.threshold_approximation)


@hookimpl
def preimage_axes(settings: Settings, domain: AnySpace) -> Mapping[str, Axis]:
    """The transformed dims are needed whole; pixels along all others are independent."""
    space, dims = _transformed(settings, domain)
    return {dim: whole if dim in dims else split for dim in space.dims}


@hookimpl
def preimage_memory(settings: Settings, dataset: xr.Dataset) -> Memory:
    """The coefficients, contiguous copies of all approximations, which together are smaller, and pieces of them."""
    n_dims = len(settings.dims) if settings.dims else 2  # at least, but for a signal, which is small
    copies = 0.0 if settings.transform == "identity" else 1 / (2**n_dims - 1)
    return Memory(per_image=1 + copies, workspace=4 * PIECE)


@hookimpl
def preimage_examples() -> Iterator[tuple[Settings, Space]]:
    """Odd and size-one axes, real and complex, a length below that of the filter, dims that are not transformed."""
    yield Settings(weight=0.3, transform="identity"), Space(("y", "x"), (3, 5), torch.complex128)
    yield Settings(weight=0.3, wavelet="haar", levels=2), Space(("z", "y", "x"), (4, 1, 6), torch.float64)
    yield Settings(weight=0.3, wavelet="db2"), Space(("y", "x"), (9, 13), torch.complex128)
    yield Settings(weight=0.3, dims=("z", "y")), Space(("z", "y", "x"), (8, 6, 3), torch.complex128)
    yield Settings(weight=0.2, wavelet="sym4", dims=("x",), threshold_approximation=True), Space(("y", "x"), (2, 7))


def _transformed(settings: Settings, domain: AnySpace) -> tuple[Space, tuple[str, ...]]:
    """The image's space, and the dims that are transformed."""
    if not isinstance(domain, Space):
        raise RequestError(f"sparsity is a prior on one unknown: say with `on` which of {', '.join(domain)} it is for")
    if settings.transform == "identity":
        return domain, ()
    dims = domain.dims if settings.dims is None else settings.dims
    for dim in dims:
        if dim not in domain.dims:
            raise RequestError(f"sparsity: there is no dim {dim!r} in the image; it has {', '.join(domain.dims)}")
    return domain, dims
