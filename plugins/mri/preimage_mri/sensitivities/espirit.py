"""ESPIRiT: sensitivities as eigenvectors of what the centre of k-space says of all of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from preimage_mri.fourier import along, centred_range, waves

WORKSPACE = 64 * 2**20
"""Bytes of the matrices that are decomposed in one go."""


def espirit(
    calibration: Tensor,
    places: Sequence[Tensor],
    reference: Tensor,
    kernel: int | None = None,
    threshold: float = 0.02,
    crop: float = 0.95,
) -> Tensor:
    """Sensitivities of one image.

    Patches of a fully sampled k-space lie in a subspace of low dimension. Taking every patch to that subspace,
    and averaging what is then said of each sample, is a convolution, and so a matrix G(r) over the coils at every
    voxel, Hermitian with eigenvalues from 0 to 1. Coil images S m pass it unchanged where there is an object:
    there G S = S.

    Parameters
    ----------
    calibration : complex (coil, *k), the centre of k-space, frequency 0 at n // 2.
    places : for each dim of k where sensitivities are wanted, in units of the field of view, 0 in the middle.
    reference : complex (coil,); the phase of S is such that Σ conj(reference) S > 0.
    kernel : length of a patch along each dim, as far as the centre goes; None: see `widest_kernel`.
    threshold : singular values of the patches below this share of the largest are noise.
    crop : where the eigenvalue is smaller than this there is no object, and S = 0.

    Returns
    -------
    sensitivities : complex (coil, *places), Σ |S|² = 1 or 0.

    References
    ----------
    Uecker et al., ESPIRiT: an eigenvalue approach to autocalibrating parallel MRI, Magnetic Resonance in
    Medicine 71, 2014.
    """
    kernel = kernel or widest_kernel(*calibration.shape)
    kernels = _averaged_projection(calibration, kernel, threshold)
    row = len(reference) ** 2 * math.prod(len(place) for place in places[1:]) * kernels.element_size()
    rows = places[0].split(max(1, WORKSPACE // row))  # type: ignore[no-untyped-call]
    return torch.cat([_eigenvectors(_at(kernels, [some, *places[1:]]), reference, crop) for some in rows], 1)


def widest_kernel(n_coils: int, *lengths: int) -> int:
    """The longest patch, from 2 to 6, of which the centre has at least as many as a patch has samples.

    Fewer patches than that span a part of their subspace only, and eigenvalues stay below 1 everywhere.
    """
    for kernel in range(6, 2, -1):
        n_patches = math.prod(max(n - kernel, 0) + 1 for n in lengths)
        if n_patches >= n_coils * math.prod(min(kernel, n) for n in lengths):
            return kernel
    return 2


def _averaged_projection(calibration: Tensor, kernel: int, threshold: float) -> Tensor:
    """The kernels (coil, coil, *shift) of the convolution; shift 0 is in the middle.

    In double precision, since the squares of singular values are compared.
    """
    n_coils, *lengths = calibration.shape
    patch = [min(kernel, n) for n in lengths]
    patches = calibration.to(torch.complex128)
    for axis, n in enumerate(patch, 1):
        patches = patches.unfold(axis, n, 1)
    patches = patches.movedim(0, len(patch)).flatten(len(patch)).flatten(0, -2)  # (position, coil · offset)
    power, vectors = torch.linalg.eigh(patches.mT @ patches.conj())
    vectors = vectors * (power > threshold**2 * power[-1])
    projection: Tensor = (vectors @ vectors.mH).reshape(n_coils, *patch, n_coils, *patch)
    for i, n in enumerate(patch):  # sum over pairs of offsets with the same difference
        one, other = 1, len(patch) - i + 2
        diagonals = [projection.diagonal(-shift, one, other).sum(-1) for shift in range(1 - n, n)]
        projection = torch.stack(diagonals, -1)
    return (projection / math.prod(patch)).to(calibration.dtype)


def _at(kernels: Tensor, places: Sequence[Tensor]) -> Tensor:
    """G at every voxel, (coil, coil, *places)."""
    for axis, place in enumerate(places, 2):
        shifts = centred_range(kernels.shape[axis], kernels.device)
        kernels = along(waves(shifts, place, kernels.dtype), kernels, axis)
    return kernels


def _eigenvectors(matrices: Tensor, reference: Tensor, crop: float) -> Tensor:
    """The eigenvector of the largest eigenvalue, (coil, *places)."""
    values, vectors = torch.linalg.eigh(matrices.movedim((0, 1), (-2, -1)))
    largest: Tensor = vectors[..., -1] * (values[..., -1:] > crop)
    phase: Tensor = torch.sgn((reference.conj() * largest).sum(-1, keepdim=True))
    return (largest * phase.conj()).movedim(-1, 0)
