from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import tifffile
import torch
import xarray as xr

import preimage_imaging.blur as blur
from preimage.data import DEVICE
from preimage.declarations import split, whole
from preimage.errors import DataError, SpaceError
from preimage.space import Space
from preimage.testing import OperatorLaws
from preimage.testing.agreement import largest_error
from preimage_imaging.blur import Settings
from preimage_imaging.convolution.images import PeriodicConvolution, ValidConvolution


class TestLaws(OperatorLaws):
    method = blur


ROUNDING = 1e-14, "rounding of FFTs of at most 210 values of about 1: some ε log n"


def image(*shape: int, dtype: str = "float64") -> np.ndarray:
    random = np.random.default_rng(0)
    values = random.standard_normal(shape)
    return (values + 1j * random.standard_normal(shape) if "complex" in dtype else values).astype(dtype)


def make(settings: Settings, shared: dict | None = None, **variables: object) -> PeriodicConvolution | ValidConvolution:
    return blur.preimage_operator(settings, xr.Dataset(variables), {} if shared is None else shared)


@pytest.mark.parametrize(("shape", "sigma"), [((8, 7), 1.3), ((8, 7), (0.4, 2.0)), ((5, 1), 1.0), ((3, 4), (5.0, 0.1))])
def test_a_gaussian_is_scipys(shape, sigma, agreement):
    """Also where the psf is longer than the image, which both repeat as often as it takes."""
    x = image(*shape)
    a = make(Settings(sigma=sigma), truth=(("y", "x"), x))
    expected = scipy.ndimage.gaussian_filter(x, sigma, mode="wrap", truncate=4.0)
    error = largest_error(a(torch.from_numpy(x)), expected)
    agreement("operator.blur", "SciPy's gaussian_filter", error, *ROUNDING)


def test_the_sigmas_are_in_the_order_of_the_dims_that_are_named(agreement):
    x = image(6, 5, 7)
    a = make(Settings(sigma=(2.0, 0.5), dims=("x", "z")), truth=(("z", "y", "x"), x))
    expected = scipy.ndimage.gaussian_filter(x, (0.5, 0, 2.0), mode="wrap")
    error = largest_error(a(torch.from_numpy(x)), expected)
    agreement("operator.blur", "SciPy's gaussian_filter", error, *ROUNDING)


@pytest.mark.parametrize("boundary", ["periodic", "valid"])
def test_a_motion_blurs_along_its_line(boundary, agreement):
    """Rows are blurred by a motion along x as SciPy's mean of four neighbours, half of each at the ends, blurs them."""
    x = image(8, 9)
    a = make(Settings(motion={"length": 4}, boundary=boundary), truth=(("y", "x"), x))
    expected = scipy.ndimage.convolve1d(x, [1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8], mode="wrap")
    error = largest_error(a(torch.from_numpy(x)), expected if boundary == "periodic" else expected[:, 2:-2])
    agreement("operator.blur", "SciPy's convolve1d, of a motion", error, *ROUNDING)
    turned = make(Settings(motion={"length": 4, "angle": 90}, dims=("x", "y")), truth=(("y", "x"), x))
    expected = scipy.ndimage.convolve1d(x, [1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8], axis=0, mode="wrap")
    error = largest_error(turned(torch.from_numpy(x)), expected)
    agreement("operator.blur", "SciPy's convolve1d, of a motion", error, *ROUNDING)


def test_a_psf_of_the_dataset_may_have_its_dims_in_any_order(agreement):
    psf = image(3, 2, 4)
    x = image(6, 2, 5)
    variable = xr.Variable(("psf_x", "channel", "psf_y"), psf.transpose(2, 1, 0))
    settings = Settings(boundary="valid", dims=("x", "y"))
    a = make(settings, truth=(("y", "channel", "x"), x), psf=variable)
    found = a(torch.from_numpy(x)).numpy()
    for c in range(2):
        expected = scipy.signal.convolve2d(x[:, c], psf[:, c], mode="valid")
        error = largest_error(found[:, c], expected)
        agreement("operator.blur", "SciPy's convolve2d", error, *ROUNDING)


def test_a_valid_blur_gives_the_space_of_its_measurement_back():
    psf = (("psf_y", "psf_x"), image(3, 2))
    truth = xr.Dataset({"truth": (("z", "y", "x"), image(4, 6, 5, dtype="complex64")), "psf": psf})
    settings = Settings(boundary="valid")
    domain, codomain = blur.preimage_spaces(settings, truth)
    assert codomain == Space(("z", "y_valid", "x_valid"), (4, 4, 4), torch.complex64)
    measured = truth.assign(measurement=(codomain.dims, np.zeros(codomain.shape, "complex64")))
    assert blur.preimage_spaces(settings, measured) == (domain, codomain)
    assert blur.preimage_spaces(settings, measured.drop_vars("truth")) == (domain, codomain)
    operator = blur.preimage_operator(settings, measured, {})
    assert (operator.domain, operator.codomain) == (domain, codomain)
    assert blur.preimage_axes(settings, measured) == {"z": split, "y": whole, "x": whole}
    # 96 pixels of the image against 64 of the data, five arrays of one and one of the other less one
    assert blur.preimage_memory(settings, measured).per_input == 1 + 4 * 120 / 64


def test_the_spectrum_of_the_psf_is_kept_for_the_next_block_and_for_nothing_else(monkeypatch):
    computed = []
    for kind in (PeriodicConvolution, ValidConvolution):
        original = kind._periodic

        def counted(self, psf, original=original):
            computed.append(type(self))
            return original(self, psf)

        monkeypatch.setattr(kind, "_periodic", counted)
    shared: dict = {}
    x = image(3, 6, 5)
    psf = xr.Variable(("psf_y", "psf_x"), image(3, 3))

    def made(n: int, settings: Settings, **variables: object) -> torch.Tensor:
        before = len(computed)
        a = make(settings, shared, **variables)
        assert len(computed) - before == n
        fresh = make(settings, {}, **variables)
        one = a.domain.randn(torch.Generator().manual_seed(0))
        assert torch.equal(a(one), fresh(one))

    made(1, Settings(), truth=(("z", "y", "x"), x), psf=psf)
    made(0, Settings(), truth=(("z", "y", "x"), x[:2]), psf=psf)  # another block
    made(1, Settings(), truth=(("z", "y", "x"), x), psf=2 * psf)
    made(1, Settings(boundary="valid"), truth=(("z", "y", "x"), x), psf=2 * psf)
    made(1, Settings(), truth=(("z", "y", "x"), x[:, :5]), psf=psf)
    made(1, Settings(), truth=(("z", "y", "x"), x.astype("complex128")), psf=psf)
    made(1, Settings(), truth=(("z", "y", "x"), x.astype("float32")), psf=psf)
    made(1, Settings(dims=("x", "y")), truth=(("z", "y", "x"), x), psf=psf)
    made(0, Settings(dims=("y", "x")), truth=(("z", "y", "x"), x), psf=psf)
    made(1, Settings(sigma=1), truth=(("z", "y", "x"), x))
    made(1, Settings(sigma=2), truth=(("z", "y", "x"), x))
    assert len(shared) == 1


def test_a_block_is_made_on_the_device_of_its_dataset():
    dataset = xr.Dataset({"truth": (("y", "x"), image(6, 5))}, attrs={DEVICE: "meta"})
    for boundary in ("periodic", "valid"):
        a = blur.preimage_operator(Settings(sigma=0.5, boundary=boundary), dataset, {})
        y = a(torch.empty(2, 6, 5, dtype=torch.float64, device="meta"))
        assert y.device.type == a.adjoint(y).device.type == "meta"


@pytest.mark.parametrize(
    ("settings", "variables", "message"),
    [
        (Settings(), {}, "needs a 'psf' in the dataset, or its setting sigma"),
        (Settings(sigma=1), {"psf": (("psf_y", "psf_x"), image(3, 3))}, "leave out one of them"),
        (Settings(), {"psf": (("psf_y", "b"), image(3, 3))}, "needs the dims psf_y, psf_x: it has psf_y, b"),
        (
            Settings(dims=("x",)),
            {"psf": (("psf_y", "psf_x"), image(3, 3))},
            "may have the dims y, psf_x: it has 'psf_y'",
        ),
        (Settings(), {"psf": (("psf_y", "psf_x"), image(3, 3, dtype="complex128"))}, "take its real part"),
        (Settings(), {"psf": (("psf_y", "psf_x"), np.zeros((3, 3)))}, "zero everywhere"),
        (Settings(), {"psf": (("psf_y", "psf_x"), np.full((3, 3), np.nan))}, "not finite"),
        (Settings(sigma=1, motion={"length": 3}), {}, "has sigma and motion: leave out one of them"),
        (Settings(motion={"length": 3}), {"psf": (("psf_y", "psf_x"), image(3, 3))}, "has motion, and the dataset has"),
        (Settings(motion={"length": 3}, dims=("x",)), {}, "in the plane of two dims, not of x"),
        (Settings(sigma=1, dims=("z",)), {}, "dims names 'z'"),
        (Settings(sigma=1, dims=()), {}, "no dim to blur"),
        (Settings(sigma=(1, 2, 3)), {}, "3 numbers for the 2 dims y, x"),
        (
            Settings(sigma=1, boundary="valid"),
            {"measurement": (("y", "x"), image(9, 9))},
            "y_valid, x_valid: it has y, x",
        ),
    ],
)
def test_what_is_wrong_is_said(settings, variables, message):
    with pytest.raises(DataError, match=message):
        make(settings, **{"truth": (("y", "x"), image(9, 9)), **variables})


def test_a_psf_that_is_longer_than_a_valid_image_is_refused_before_it_is_made():
    with pytest.raises(SpaceError, match="along 'y' it has 80001, the image 9"):
        make(Settings(sigma=1e4, boundary="valid"), truth=(("y", "x"), image(9, 9)))


def test_an_image_without_dims_is_refused():
    with pytest.raises(DataError, match="the image's dims are none"):
        blur.preimage_spaces(Settings(sigma=1), xr.Dataset({"truth": ((), np.float32(1))}))


@pytest.mark.skipif("PREIMAGE_DATA" not in os.environ, reason="PREIMAGE_DATA is not set")
def test_a_real_hollow_bead_is_seen_to_be_hollow():
    """Widefield light fills the bead; the Wiener filter with its measured psf empties it again."""
    folder = Path(os.environ["PREIMAGE_DATA"]) / "deconv_bead_3d"
    data = tifffile.imread(folder / "data.tif") - np.float32(203)  # the camera's offset
    psf = tifffile.imread(folder / "kernel.tif")
    dims = ("z", "y", "x")
    dataset = xr.Dataset({"measurement": (dims, data), "psf": (("psf_z", "psf_y", "psf_x"), psf / psf.sum())})
    a = blur.preimage_operator(Settings(dims=dims), dataset, {})
    bead = a.solve_normal(a.adjoint(torch.from_numpy(data)), 1e-3).numpy()

    def hollowness(volume: np.ndarray) -> float:
        line = volume[25, 32]  # through the middle of the bead
        return float(line.max() / line[30:34].min())

    assert hollowness(bead) > 1.5 * hollowness(data)
