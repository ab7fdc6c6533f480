from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch
import xarray as xr

import preimage_imaging.blind_blur as blind_blur
from preimage.declarations import split, whole
from preimage.errors import DataError, RequestError, SpaceError
from preimage.offers import offers
from preimage.operators import Multilinear, NormalSolvable, Operator
from preimage.space import Blocks, ProductSpace, Space
from preimage.testing import OperatorLaws, check_operator
from preimage.testing.agreement import largest_error
from preimage.testing.comparing import from_vector, size, vector
from preimage_imaging.blind_blur import Settings
from preimage_imaging.convolution.blind import PeriodicBlindConvolution, ValidBlindConvolution
from preimage_imaging.convolution.images import PeriodicConvolution, ValidConvolution
from preimage_imaging.convolution.kernels import PeriodicKernelConvolution, ValidKernelConvolution


class TestLaws(OperatorLaws):
    method = blind_blur


REAL, COMPLEX = torch.float64, torch.complex128
KINDS = {
    PeriodicBlindConvolution: (PeriodicConvolution, PeriodicKernelConvolution),
    ValidBlindConvolution: (ValidConvolution, ValidKernelConvolution),
}


def image(*shape: int, dtype: str = "float64") -> np.ndarray:
    random = np.random.default_rng(0)
    values = random.standard_normal(shape)
    return (values + 1j * random.standard_normal(shape) if "complex" in dtype else values).astype(dtype)


def examples():
    """Both boundaries, real and complex; a kernel that is shared, and kernels of their own."""
    for kind in KINDS:
        yield kind(Space(("y", "x"), (5, 6), REAL), {"y": 2, "x": 3})
        yield kind(Space(("z", "y", "c", "x"), (2, 4, 2, 5), COMPLEX), {"x": 3, "y": 3}, ("c",))


def drawn(space, seed=1):
    return space.randn(torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("operator", list(examples()))
def test_what_is_fixed_is_the_part_of_the_dense_jacobian(operator):
    """A is linear in each unknown, so its derivative along that one at any point is the operator that is left."""
    x = drawn(operator.domain)
    columns = [
        vector(operator.jvp(x, from_vector(operator.domain, unit)))
        for unit in torch.eye(size(operator.domain), dtype=REAL)
    ]
    jacobian = torch.stack(columns, dim=1)
    n = size(operator.domain["image"])
    for name, part in (("image", jacobian[:, :n]), ("kernel", jacobian[:, n:])):
        space = operator.domain[name]
        fixed = operator.fix(**{other: x[other] for other in x if other != name})
        units = torch.eye(size(space), dtype=REAL)
        found = torch.stack([vector(fixed(from_vector(space, unit))) for unit in units], dim=1)
        torch.testing.assert_close(found, part, rtol=0, atol=1e-13)


@pytest.mark.parametrize("operator", list(examples()))
def test_what_is_fixed_is_a_convolution_of_its_own_and_keeps_all_laws(operator):
    x = drawn(operator.domain)
    parts = operator.fix(kernel=x["kernel"]), operator.fix(image=x["image"])
    for fixed, kind in zip(parts, KINDS[type(operator)], strict=True):
        assert type(fixed) is kind
        assert not [str(outcome) for outcome in check_operator(fixed) if outcome.problem]
        periodic = isinstance(operator, PeriodicBlindConvolution)
        assert (offers(fixed, NormalSolvable) is not None) == periodic


@pytest.mark.parametrize("operator", list(examples()))
def test_it_is_what_a_generic_multilinear_operator_would_give(operator):
    x, y = drawn(operator.domain), drawn(operator.codomain, 2)
    for name in x:
        known = {other: part for other, part in x.items() if other != name}
        own, generic = operator.fix(**known), Operator.fix(operator, **known)
        torch.testing.assert_close(own(x[name]), generic(x[name]))
        torch.testing.assert_close(own.adjoint(y), generic.adjoint(y))
        batch = operator.domain.randn(torch.Generator().manual_seed(3), (2,))
        held = {other: batch[other] for other in known}
        torch.testing.assert_close(operator.fix(**held)(batch[name]), operator(batch))


def test_it_is_scipys_convolution(agreement):
    x, k = image(7, 8), image(3, 2)
    domain = Space(("y", "x"), (7, 8), REAL)
    both = Blocks(image=torch.from_numpy(x), kernel=torch.from_numpy(k))
    valid = ValidBlindConvolution(domain, {"y": 3, "x": 2})(both)
    rounding = 1e-13, "rounding of FFTs of 56 values of about 1: some ε log n"
    error = largest_error(valid, scipy.signal.convolve2d(x, k, mode="valid"))
    agreement("operator.blind-blur", "SciPy's convolve2d", error, *rounding)
    periodic = PeriodicBlindConvolution(domain, {"y": 3, "x": 2})(both)
    full = np.zeros((7, 8))
    for index, weight in np.ndenumerate(k):
        full += weight * np.roll(x, (index[0] - 1, index[1] - 1), (0, 1))
    agreement("operator.blind-blur", "its definition, a sum of rolled images", largest_error(periodic, full), *rounding)


@pytest.mark.parametrize("boundary", ["periodic", "valid"])
def test_what_it_says_it_cannot_tell_apart_gives_the_same_data(boundary):
    settings = Settings(size=5, boundary=boundary)
    operator = blind_blur.preimage_operator(settings, xr.Dataset({"truth": (("y", "x"), image(9, 8))}))
    assert operator.ambiguity == {"scale", "shift"}
    x = drawn(operator.domain)
    x["kernel"][[0, -1]] = 0
    x["kernel"][:, [0, -1]] = 0  # room to be shifted in
    data = operator(x)
    brighter = Blocks(image=x["image"] * -2, kernel=x["kernel"] / -2)
    torch.testing.assert_close(operator(brighter), data)
    shifted = Blocks(image=x["image"].roll((1, -1), (0, 1)), kernel=x["kernel"].roll((-1, 1), (0, 1)))
    torch.testing.assert_close(operator(shifted), data)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(operator(Blocks(image=shifted["image"], kernel=x["kernel"])), data)


@pytest.mark.parametrize("boundary", ["periodic", "valid"])
@pytest.mark.parametrize("lengths", [{"y": 3, "x": 4}, {"y": 1, "x": 5}])
def test_a_start_without_blur_explains_the_data_and_one_with_blur_is_gaussian(boundary, lengths):
    kind = PeriodicBlindConvolution if boundary == "periodic" else ValidBlindConvolution
    domain = Space(("z", "y", "x"), (2, 7, 8), REAL)
    sharp, soft = kind(domain, lengths, ("z",)), kind(domain, lengths, ("z",), start_sigma=0.8)
    y = sharp.codomain.randn(torch.Generator().manual_seed(0), (3,))
    start = sharp.initial(y)
    sharp.domain.check(start)
    torch.testing.assert_close(sharp(start), y, rtol=0, atol=1e-14)
    kernel = soft.initial(y)["kernel"]
    torch.testing.assert_close(kernel.sum((-2, -1)), torch.ones(3, 2, dtype=REAL))
    row = np.exp(-0.5 * ((np.arange(lengths["x"]) - lengths["x"] // 2) / 0.8) ** 2)
    np.testing.assert_allclose(kernel[1, 1].sum(0).numpy(), row / row.sum(), atol=1e-15)
    assert torch.equal(soft.initial(y)["image"], start["image"])
    before = y.clone()
    start["image"].zero_()
    assert torch.equal(y, before)


def test_a_valid_start_repeats_the_edges_of_the_data():
    operator = ValidBlindConvolution(Space(("x",), (8,), REAL), {"x": 4})
    start = operator.initial(torch.tensor([1.0, 2, 3, 4, 5], dtype=REAL))["image"]
    assert start.tolist() == [1, 1, 2, 3, 4, 5, 5, 5]  # of a kernel of four the centre is the third


def make(settings, shape=(3, 6, 7), dims=("z", "y", "x"), name="measurement"):
    dataset = xr.Dataset({name: (dims, image(*shape, dtype="float32"))})
    return blind_blur.preimage_operator(settings, dataset), dataset


def test_settings_name_the_unknowns():
    operator, dataset = make(Settings(size=(3, 2), dims=("x", "y"), own_kernels=("z",)))
    assert operator.domain == ProductSpace(
        image=Space(("z", "y", "x"), (3, 6, 7), torch.float32),
        kernel=Space(("z", "psf_y", "psf_x"), (3, 2, 3), torch.float32),
    )
    assert offers(operator, Multilinear) is operator
    axes = blind_blur.preimage_axes(Settings(size=3, own_kernels=("z",)), dataset)
    assert axes == {"z": split, "y": whole, "x": whole}
    shared, _ = make(Settings(size=3))
    assert shared.domain["kernel"].dims == ("psf_y", "psf_x")
    assert set(blind_blur.preimage_axes(Settings(size=3), dataset).values()) == {whole}
    valid, _ = make(Settings(size=3, boundary="valid"), dims=("z", "y_valid", "x_valid"))
    assert valid.domain["image"].shape == (3, 8, 9)
    assert valid.codomain.dims == ("z", "y_valid", "x_valid")


def test_a_start_is_made_on_the_device_of_the_data():
    operator, _ = make(Settings(size=3, boundary="valid"), dims=("z", "y_valid", "x_valid"))
    start = operator.initial(torch.empty(operator.codomain.shape, dtype=torch.float32, device="meta"))
    assert {part.device.type for part in start.values()} == {"meta"}


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (Settings(size=(3, 3, 3)), DataError, "size has 3 numbers for the 2 dims y, x"),
        (Settings(dims=("q",)), DataError, "dims names 'q'"),
        (Settings(size=3, own_kernels=("q",)), DataError, "own_kernels names 'q'"),
        (Settings(size=3, own_kernels=("x",)), DataError, "own_kernels names 'x', along which the image is blurred"),
        (Settings(size=8), SpaceError, "the kernel is 8 long along 'y', the image 6: choose a shorter one"),
        (Settings(size=3, boundary="valid"), DataError, "has the dims z, y_valid, x_valid: it has z, y, x"),
    ],
)
def test_what_is_wrong_is_said(settings, error, message):
    with pytest.raises(error, match=message):
        make(settings)


def test_one_unknown_must_be_left():
    operator, _ = make(Settings(size=3))
    x = drawn(operator.domain)
    for known in ({}, dict(x), {"psf": x["kernel"]}):
        with pytest.raises(RequestError, match="fix either the image or the kernel"):
            operator.fix(**known)
    with pytest.raises(SpaceError, match="dim 'psf_y' should have length 3, it has 2"):
        operator.fix(kernel=x["kernel"][1:])
