from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch

from preimage.errors import SpaceError
from preimage.space import Space
from preimage.testing.agreement import largest_error
from preimage_imaging.convolution.images import PeriodicConvolution, ValidConvolution

ROUNDING = 1e-13, "of the largest value: an FFT of a hundred elements rounds to log₂(100)·ε = 1.5e-15"
DENSE = 1e-12, "rounding, times conditions below 10 and their squares"


def draw(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def rolled(x: np.ndarray, psf: np.ndarray) -> np.ndarray:
    """The definition of a periodic convolution whose kernel has its centre at n // 2."""
    total = np.zeros(x.shape, np.result_type(x, psf))
    for index, weight in np.ndenumerate(psf):
        shift = [i - n // 2 for i, n in zip(index, psf.shape, strict=True)]
        total += weight * np.roll(x, shift, tuple(range(x.ndim)))
    return total


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize(
    ("image", "kernel"), [((7, 8), (3, 5)), ((6, 5), (2, 4)), ((1, 6), (3, 3)), ((4, 3), (9, 8)), ((5, 1), (1, 1))]
)
def test_periodic_is_the_sum_of_rolled_images(dtype, image, kernel, agreement):
    x, psf = draw(*image, dtype=dtype), draw(*kernel, dtype=dtype, seed=1)
    a = PeriodicConvolution(Space(("y", "x"), image, dtype), psf, ("y", "x"))
    expected = rolled(x.numpy(), psf.numpy())
    error = largest_error(a(x), expected) / abs(expected).max()
    agreement("operator.blur", "its definition, a sum of rolled images", error, *ROUNDING)


def test_periodic_is_scipys_where_the_kernel_is_odd(agreement):
    x, psf = draw(9, 8), draw(3, 5, seed=1)
    a = PeriodicConvolution(Space(("y", "x"), (9, 8), torch.float64), psf, ("y", "x"))
    expected = scipy.signal.convolve2d(x.numpy(), psf.numpy(), mode="same", boundary="wrap")
    error = largest_error(a(x), expected) / abs(expected).max()
    agreement("operator.blur", "SciPy's convolve2d", error, *ROUNDING)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize(
    ("image", "kernel"), [((7, 8), (3, 5)), ((6, 5), (2, 4)), ((1, 6), (1, 3)), ((4, 3), (4, 3)), ((5, 4), (1, 1))]
)
def test_valid_is_scipys_and_its_adjoint_the_full_correlation(dtype, image, kernel, agreement):
    x, psf = draw(*image, dtype=dtype), draw(*kernel, dtype=dtype, seed=1)
    a = ValidConvolution(Space(("y", "x"), image, dtype), psf, ("y", "x"))
    expected = scipy.signal.convolve2d(x.numpy(), psf.numpy(), mode="valid")
    assert a.codomain == Space(("y_valid", "x_valid"), expected.shape, dtype)
    error = largest_error(a(x), expected) / abs(expected).max()
    agreement("operator.blur", "SciPy's convolve2d", error, *ROUNDING)
    y = draw(*expected.shape, dtype=dtype, seed=2)
    expected = scipy.signal.correlate(y.numpy(), psf.numpy(), mode="full", method="direct")
    error = largest_error(a.adjoint(y), expected) / abs(expected).max()
    agreement("operator.blur", "SciPy's correlate, for the adjoint", error, *ROUNDING)


def test_dims_that_are_not_convolved_may_lie_anywhere_and_have_their_own_psf(agreement):
    domain = Space(("y", "channel", "x"), (6, 2, 5), torch.float64)
    x, psf = draw(3, 6, 2, 5), draw(3, 2, 4, seed=1)
    periodic = PeriodicConvolution(domain, psf, ("y", "x"))(x)
    valid = ValidConvolution(domain, psf, ("y", "x"))(x)
    assert valid.shape == (3, 4, 2, 2)
    for i in range(3):
        for c in range(2):
            one, kernel = x[i, :, c].numpy(), psf[:, c].numpy()
            expected = rolled(one, kernel)
            error = largest_error(periodic[i, :, c], expected) / abs(expected).max()
            agreement("operator.blur", "its definition, a sum of rolled images", error, *ROUNDING)
            expected = scipy.signal.convolve2d(one, kernel, mode="valid")
            error = largest_error(valid[i, :, c], expected) / abs(expected).max()
            agreement("operator.blur", "SciPy's convolve2d", error, *ROUNDING)


def box(dtype: torch.dtype) -> PeriodicConvolution:
    """A mean of two neighbours over an even period: the fastest oscillation is lost exactly."""
    domain = Space(("y", "x"), (3, 6), dtype)
    return PeriodicConvolution(domain, torch.full((1, 2), 0.5, dtype=torch.float64), ("y", "x"))


def sharp_psf(dtype: torch.dtype) -> torch.Tensor:
    psf = 0.2 * draw(2, 3, dtype=dtype)
    psf[1, 1] += 1
    return psf


def sharp(dtype: torch.dtype) -> PeriodicConvolution:
    return PeriodicConvolution(Space(("y", "x"), (4, 5), dtype), sharp_psf(dtype), ("y", "x"))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("make", [box, sharp])
def test_capabilities_are_those_of_the_dense_matrix(dense, make, dtype, agreement):
    a = make(dtype)
    matrix = dense(a, a.domain)
    n = matrix.shape[0]
    np.testing.assert_allclose(dense(a.adjoint, a.domain), matrix.conj().T, atol=1e-14)
    np.testing.assert_allclose(dense(a.normal, a.domain), matrix.conj().T @ matrix, atol=1e-13)
    error = abs(a.norm().value / np.linalg.norm(matrix, 2) - 1)
    agreement("operator.blur", "NumPy's norm of the dense matrix", error, *ROUNDING)
    solved = np.linalg.inv(matrix.conj().T @ matrix + 0.1 * np.eye(n))
    error = largest_error(dense(lambda x: a.solve_normal(x, 0.1), a.domain), solved)
    agreement("operator.blur", "NumPy's inverse of the dense normal matrix", error, *DENSE)
    error = largest_error(dense(a.pinv, a.domain), np.linalg.pinv(matrix, rcond=1e-10))
    agreement("operator.blur", "NumPy's pseudo-inverse of the dense matrix", error, *DENSE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("make", [box, sharp])
def test_the_decomposition_is_one(dense, make, dtype, agreement):
    a = make(dtype)
    svd = a.svd()
    assert svd is a.svd()
    spectrum = svd.v.domain
    v, uh = dense(svd.v, spectrum), dense(svd.uh, a.codomain)
    s = svd.s.expand(spectrum.shape).numpy().ravel()
    assert v.dtype == uh.dtype == dense(a, a.domain).dtype  # real images have a real basis
    np.testing.assert_allclose(v.conj().T @ v, np.eye(len(s)), atol=1e-13)
    np.testing.assert_allclose(uh @ uh.conj().T, np.diag(s > 0), atol=1e-13)
    matrix = dense(a, a.domain)
    np.testing.assert_allclose(uh.conj().T @ np.diag(s) @ v.conj().T, matrix, atol=1e-13)
    error = largest_error(np.sort(s)[::-1], np.linalg.svd(matrix, compute_uv=False)) / s.max()
    agreement("operator.blur", "NumPy's singular values of the dense matrix", error, *ROUNDING)
    np.testing.assert_allclose(dense(svd.uh.adjoint, spectrum), uh.conj().T, atol=1e-14)


def test_the_wiener_filter_is_that_of_the_fourier_domain(agreement):
    """argmin ‖Ax − y‖² + d‖x‖² = F⁻¹ (H̄ Y / (|H|² + d)), with H of the psf rolled to index 0 by hand."""
    a = sharp(torch.float64)
    y = draw(4, 5, seed=3)
    padded = np.zeros((4, 5))
    padded[:2, :3] = sharp_psf(torch.float64).numpy()
    h = np.fft.fft2(np.roll(padded, (-1, -1), (0, 1)))
    expected = np.fft.ifft2(h.conj() * np.fft.fft2(y.numpy()) / (abs(h) ** 2 + 0.05)).real
    error = largest_error(a.solve_normal(a.adjoint(y), 0.05), expected) / abs(expected).max()
    agreement("operator.blur", "the Wiener filter by NumPy's FFT", error, *ROUNDING)


def test_a_spectral_filter_by_the_decomposition_is_the_wiener_filter():
    for dtype in (torch.float64, torch.complex128):
        a = sharp(dtype)
        y = draw(2, 4, 5, dtype=dtype, seed=3)
        svd = a.svd()
        filtered = svd.v(svd.uh(y) * svd.s / (svd.s.square() + 0.05))
        torch.testing.assert_close(filtered, a.solve_normal(a.adjoint(y), 0.05), rtol=1e-12, atol=1e-12)


def test_the_null_space_projection_keeps_the_data_and_the_rest():
    """x = z + pinv(y − Az): the data are met, and only what the psf passes of z is changed."""
    a = box(torch.float64)
    x, z = draw(3, 6), draw(3, 6, seed=1)
    met = z + a.pinv(a(x) - a(z))
    torch.testing.assert_close(a(met), a(x), rtol=0, atol=1e-14)
    lost = torch.tensor([1.0, -1.0] * 3, dtype=torch.float64)  # the oscillation that a mean of two neighbours loses
    torch.testing.assert_close((met * lost).sum(-1), (z * lost).sum(-1), rtol=0, atol=1e-13)
    assert float((met - x).norm()) > 0.1  # it is not x: what is lost is z's


def test_the_bound_of_a_valid_convolution_is_above_its_norm_and_below_the_sum_of_the_psf(dense):
    for seed in range(5):
        psf = draw(2, 3, seed=seed)
        a = ValidConvolution(Space(("y", "x"), (5, 4), torch.float64), psf, ("y", "x"))
        norm = a.norm()
        assert norm.kind == "upper"
        assert np.linalg.norm(dense(a, a.domain), 2) <= norm.value * (1 + 1e-13)
        assert norm.value <= float(psf.abs().sum()) * (1 + 1e-13)


@pytest.mark.parametrize("kind", [PeriodicConvolution, ValidConvolution])
def test_a_psf_can_be_learned(kind):
    """The gradient of ½‖A(h) x − y‖² with respect to h: the data's residual correlated with the image."""
    psf = draw(3, 2, seed=1).requires_grad_()
    a = kind(Space(("y", "x"), (5, 4), torch.float64), psf, ("y", "x"))
    x = draw(5, 4)
    y = draw(*a.codomain.shape, seed=2)

    def loss() -> torch.Tensor:
        return 0.5 * (a(x) - y).square().sum()

    for _ in range(2):  # a graph that was kept from the constructor would be used up by the first time
        (gradient,) = torch.autograd.grad(loss(), psf)
    h = 1e-6
    for index in np.ndindex(3, 2):
        step = torch.zeros(3, 2, dtype=torch.float64)
        step[index] = h
        with torch.no_grad():
            up = kind(a.domain, psf + step, ("y", "x"))(x) - y
            down = kind(a.domain, psf - step, ("y", "x"))(x) - y
        slope = 0.5 * (up.square().sum() - down.square().sum()) / (2 * h)
        # A quadratic has no truncation error in a central difference; rounding is ε/h = 2e-10 of the loss.
        torch.testing.assert_close(gradient[index], slope, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("kind", [PeriodicConvolution, ValidConvolution])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_results_have_the_precision_of_the_image(kind, dtype):
    a = kind(Space(("y", "x"), (6, 5), dtype), draw(3, 3), ("y", "x"))
    x = draw(6, 5, dtype=dtype)
    assert a(x).dtype == a.adjoint(a(x)).dtype == dtype
    double = a.to(dtype=torch.float64)
    assert double(x.to(double.domain.dtype)).dtype == double.domain.dtype


@pytest.mark.parametrize(
    ("kind", "shape", "dims", "message"),
    [
        (PeriodicConvolution, (3,), ("y", "x"), "one axis for each of its dims"),
        (PeriodicConvolution, (2, 3), ("x",), "of length 1 or the image's along the others"),
        (PeriodicConvolution, (0, 3), ("y", "x"), "shape \\(0, 3\\)"),
        (PeriodicConvolution, (1, 3), (), "at least one dim"),
        (ValidConvolution, (3, 6), ("y", "x"), "along 'x' it has 6, the image 5"),
    ],
)
def test_a_psf_that_does_not_fit_is_refused(kind, shape, dims, message):
    with pytest.raises(SpaceError, match=message):
        kind(Space(("y", "x"), (4, 5), torch.float64), torch.ones(shape, dtype=torch.float64), dims)


def test_a_complex_psf_needs_complex_images():
    psf = torch.ones(1, 1, dtype=torch.complex128)
    with pytest.raises(SpaceError, match="needs complex images"):
        PeriodicConvolution(Space(("y", "x"), (4, 5), torch.float64), psf, ("y", "x"))
