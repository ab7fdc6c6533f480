from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from preimage.errors import SpaceError
from preimage.space import Space
from preimage.testing import check_operator
from preimage_imaging.convolution import kernels
from preimage_imaging.convolution.images import PeriodicConvolution, ValidConvolution
from preimage_imaging.convolution.kernels import PeriodicKernelConvolution, ValidKernelConvolution, kernel_space

REAL, COMPLEX = torch.float64, torch.complex128
PAIRS = {
    "periodic": (PeriodicKernelConvolution, PeriodicConvolution),
    "valid": (ValidKernelConvolution, ValidConvolution),
}


def draw(*shape: int, dtype: torch.dtype = REAL, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def make(boundary, image, lengths, own=(), seed=0):
    return PAIRS[boundary][0](
        kernel_space(image, lengths, own), image, draw(*image.shape, dtype=image.dtype, seed=seed)
    )


def spaces():
    """Plain, with a shared kernel, with kernels of their own between the blurred dims, and as long as the image."""
    for dtype in (REAL, COMPLEX):
        yield Space(("y", "x"), (6, 5), dtype), {"y": 2, "x": 3}, ()
        yield Space(("z", "y", "x"), (3, 5, 4), dtype), {"x": 3, "y": 1}, ()
        yield Space(("y", "c", "x"), (5, 2, 4), dtype), {"y": 3, "x": 2}, ("c",)
        yield Space(("t", "y", "c", "x"), (2, 3, 2, 4), dtype), {"y": 2, "x": 4}, ("c",)
    yield Space(("x",), (4,), REAL), {"x": 4}, ()


@pytest.mark.parametrize("boundary", PAIRS)
@pytest.mark.parametrize(("image", "lengths", "own"), list(spaces()))
def test_all_laws_hold(boundary, image, lengths, own):
    outcomes = check_operator(make(boundary, image, lengths, own))
    assert not [str(outcome) for outcome in outcomes if outcome.problem]
    held = {outcome.law for outcome in outcomes if outcome.holds}
    assert {"adjoint", "normal", "norm", "autograd", "batched", "meta", "trainable"} <= held
    assert ("solve_normal" in held) == (boundary == "periodic")


@pytest.mark.parametrize("boundary", PAIRS)
@pytest.mark.parametrize(("image", "lengths", "own"), list(spaces()))
def test_it_is_the_convolution_with_the_roles_exchanged(boundary, image, lengths, own):
    """k ↦ k ∗ x of a known x is x ↦ k ∗ x of a known k, which is compared with SciPy's in its own tests."""
    x, a = draw(*image.shape, dtype=image.dtype), make(boundary, image, lengths, own)
    k = a.domain.randn(torch.Generator().manual_seed(1))
    psf = k.reshape([lengths.get(dim, n if dim in own else 1) for dim, n in image.sizes.items()])
    other = PAIRS[boundary][1](image, psf, tuple(dim for dim in image.dims if dim in lengths))
    # The same two spectra are multiplied, in another order at most.
    torch.testing.assert_close(a(k), other(x), rtol=1e-13, atol=1e-13)
    assert a.codomain == other.codomain


def test_a_batch_of_images_is_a_batch_of_operators():
    image, lengths = Space(("z", "y", "x"), (2, 5, 4), REAL), {"y": 2, "x": 3}
    xs, ks = draw(3, *image.shape), draw(3, 2, 3, seed=1)
    for kind, of_image in PAIRS.values():
        domain = kernel_space(image, lengths)
        together, alone = kind(domain, image, xs), [kind(domain, image, x) for x in xs]
        ys = together(ks)
        torch.testing.assert_close(ys, torch.stack([a(k) for a, k in zip(alone, ks, strict=True)]))
        torch.testing.assert_close(
            together.adjoint(ys), torch.stack([a.adjoint(y) for a, y in zip(alone, ys, strict=True)])
        )
        assert together.norm().value == pytest.approx(max(a.norm().value for a in alone), rel=1e-12)
        by_image = of_image(image, ks.unsqueeze(1), ("y", "x"))
        torch.testing.assert_close(by_image(xs), ys)
        torch.testing.assert_close(by_image(xs[0])[0], ys[0])  # one image for all of a batch
    dampings = torch.tensor([0.1, 1.0, 5.0], dtype=REAL).reshape(3, 1, 1)
    together = PeriodicKernelConvolution(kernel_space(image, lengths), image, xs)
    for i, damping in enumerate(dampings):
        one = PeriodicKernelConvolution(kernel_space(image, lengths), image, xs[i]).solve_normal(ks[i], float(damping))
        torch.testing.assert_close(together.solve_normal(ks, dampings)[i], one)


@pytest.mark.parametrize("boundary", PAIRS)
def test_the_norm_of_a_large_kernel_is_bounded_without_a_matrix(boundary, monkeypatch, dense):
    monkeypatch.setattr(kernels, "DENSE", 0)
    for seed in range(5):
        a = make(boundary, Space(("y", "x"), (7, 6), REAL), {"y": 3, "x": 2}, seed=seed)
        norm, true = a.norm(), np.linalg.norm(dense(a, a.domain), 2)
        assert norm.kind == "upper"
        # All pixels of a kernel see at most twice their number of lags along each dim.
        assert true * (1 - 1e-12) <= norm.value <= 4 * true


def test_the_normal_operation_takes_no_transform_of_the_image(monkeypatch):
    a = make("periodic", Space(("y", "x"), (64, 60), REAL), {"y": 3, "x": 5})
    k = a.domain.randn(torch.Generator().manual_seed(1))
    expected = a.adjoint(a(k))
    largest = []
    real = torch.fft.irfftn
    monkeypatch.setattr(
        torch.fft, "irfftn", lambda *args, **named: largest.append(math.prod(named["s"])) or real(*args, **named)
    )
    a.normal(k)  # the first time finds the autocorrelation
    largest.clear()
    torch.testing.assert_close(a.normal(k), expected, rtol=1e-12, atol=1e-10)
    assert largest == [5 * 9]


@pytest.mark.parametrize("boundary", PAIRS)
def test_the_image_can_be_learned(boundary):
    """The gradient of ½‖k ∗ x − y‖² with respect to x is that of the convolution of images."""
    image, k = Space(("y", "x"), (5, 4), REAL), draw(3, 2, seed=1)
    x = draw(5, 4).requires_grad_()
    kind, of_image = PAIRS[boundary]
    a, known = kind(kernel_space(image, {"y": 3, "x": 2}), image, x), of_image(image, k, ("y", "x"))
    y = draw(*a.codomain.shape, seed=2)
    for _ in range(2):  # a graph that was kept from the constructor would be used up by the first time
        (gradient,) = torch.autograd.grad(0.5 * (a(k) - y).square().sum(), x)
    torch.testing.assert_close(gradient, known.adjoint(known(x) - y))


def test_a_kernel_longer_than_the_image_is_refused():
    with pytest.raises(SpaceError, match="the kernel is 5 long along 'x', the image 4"):
        kernel_space(Space(("y", "x"), (5, 4)), {"y": 5, "x": 5})
