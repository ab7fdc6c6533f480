from __future__ import annotations

import numpy as np
import pytest
import torch

from preimage.errors import SpaceError
from preimage.space import Space
from preimage.testing.agreement import largest_error
from preimage_optics import Diffraction

OBJECT = Space(("y", "time", "x"), (4, 2, 5), torch.complex128)
REAL = Space(("y", "x"), (4, 1), torch.float64)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))


def diffraction(kind: str) -> Diffraction:
    """One of the forms that it has."""
    match kind:
        case "masks":
            return Diffraction(OBJECT, ("y", "x"), draw(3, 4, 5))
        case "padded":
            return Diffraction(OBJECT, ("y", "x"), draw(2, 1, 5), (9, 6))
        case "aperture":
            return Diffraction(OBJECT, ("x",), draw(5), (8,))
        case "dark":
            return Diffraction(OBJECT, ("y", "x"), draw(4, 5) * (torch.arange(5) > 1))
    return Diffraction(REAL, ("y", "x"), torch.ones(1, 1), (8, 3))


KINDS = ["masks", "padded", "aperture", "dark", "real"]
DENSE = 1e-13, "the least energy of a pixel that is lit is some 0.1 of the largest: rounding, hundred times"


@pytest.mark.parametrize("kind", KINDS)
def test_the_laws_of_operators_hold(kind, obeys_the_laws):
    obeys_the_laws(diffraction(kind))


@pytest.mark.parametrize("kind", ["masks", "padded"])
def test_it_is_the_shifted_unitary_transform_of_the_masked_padded_object(kind, agreement):
    a = diffraction(kind)
    x = OBJECT.randn(torch.Generator().manual_seed(1))
    masks, lengths = a.modulation[:, :, 0].expand(-1, 4, 5).numpy(), a.lengths
    assert a.codomain.dims == ("pattern", "ky", "time", "kx")
    for i, mask in enumerate(masks):
        for t in range(2):
            field = np.fft.fft2(mask * x[:, t].numpy(), lengths, norm="ortho")
            error = largest_error(a(x)[i, :, t], np.fft.fftshift(field))
            reason = "FFTs of 54 numbers and a phase of each: ε · log₂ 54, ten times"
            agreement("operator.phase-retrieval", "NumPy's FFT, of the field", error, 1e-14, reason)


@pytest.mark.parametrize("kind", KINDS)
def test_capabilities_are_those_of_the_dense_matrix(kind, dense, agreement):
    a = diffraction(kind)
    matrix = dense(a, a.domain)
    if kind == "real":  # over the reals, y ↦ Re(Bᴴ y)
        gram = (matrix.conj().T @ matrix).real
    else:
        gram = matrix.conj().T @ matrix
        error = largest_error(dense(a.pinv, a.codomain), np.linalg.pinv(matrix, rcond=1e-10))
        agreement("operator.phase-retrieval", "NumPy's pseudo-inverse of the field's dense matrix", error, *DENSE)
    solved = np.linalg.inv(gram + 0.3 * np.eye(len(gram)))
    error = largest_error(dense(lambda x: a.solve_normal(x, 0.3), a.domain), solved)
    agreement("operator.phase-retrieval", "NumPy's inverse of the field's dense normal matrix", error, *DENSE)
    assert a.norm().kind == "exact"
    error = abs(a.norm().value / np.linalg.norm(matrix, 2) - 1)
    agreement("operator.phase-retrieval", "NumPy's norm of the field's dense matrix", error, *DENSE)


def test_without_masks_it_keeps_the_energy():
    a = diffraction("real")
    x = REAL.randn(torch.Generator().manual_seed(1))
    assert float(a(x).norm()) == pytest.approx(float(x.norm()), rel=1e-14)
    assert float(a.adjoint(a(x)).dist(x)) < 1e-14


def test_masks_are_learnt_over_several_backward_passes():
    masks = draw(2, 4, 1).requires_grad_()
    a = Diffraction(REAL, ("y", "x"), masks)
    x = REAL.randn(torch.Generator().manual_seed(1))
    first, second = (torch.autograd.grad(a(x).abs().square().sum(), masks)[0] for _ in range(2))
    # The energy is Σ |m|² x², whose gradient ∂/∂Re + i ∂/∂Im is 2 m x²; rounding of an FFT and of its adjoint.
    torch.testing.assert_close(first, 2 * masks.detach() * x.square(), rtol=1e-13, atol=1e-14)
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("modulation", "lengths", "message"),
    [
        (draw(3, 4, 2), None, r"length 1 or \[4, 5\], .* the shape \(3, 4, 2\)"),
        (draw(5), None, r"the shape \(5,\)"),
        (draw(2, 3, 4, 5), None, r"the shape \(2, 3, 4, 5\)"),
        (draw(4, 5), (4, 3), r"no shorter than the object, \[4, 5\] along y, x: not \(4, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(modulation, lengths, message):
    with pytest.raises(SpaceError, match=message):
        Diffraction(OBJECT, ("y", "x"), modulation, lengths)
