"""Cartesian MRI against dense matrices and SigPy, and the short ways against the long ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from preimage.declarations import split, whole
from preimage.errors import DataError, SpaceError
from preimage.operators import HasSVD, MaskedTransform, NormalSolvable, PseudoInvertible
from preimage.space import Space
from preimage.testing.agreement import largest_error
from preimage_mri import CartesianSense, MaskedFourier
from preimage_mri.cartesian_mri import (
    Settings,
    preimage_axes,
    preimage_examples,
    preimage_operator,
    preimage_rewrite,
    preimage_spaces,
)
from preimage_mri.encoding import slabs as slabs_module
from preimage_mri.examples import complex_noise, kspace_dataset

EXAMPLES = [dataset for _, dataset in preimage_examples()]
EPS = 1e-12
ROUNDING = EPS, "double precision: some hundred ε for sums of some hundred terms"


def double(dataset: xr.Dataset) -> xr.Dataset:
    """The same dataset in double precision."""
    return dataset.assign(
        {name: array.astype(np.complex128) for name, array in dataset.data_vars.items() if array.dtype.kind == "c"}
    )


def dft(n: int) -> np.ndarray:
    """The centred unitary transform by its definition."""
    r = np.arange(n) - n // 2
    return np.exp(-2j * np.pi * np.outer(r, r) / n) / np.sqrt(n)


def reference(dataset: xr.Dataset, image: xr.DataArray) -> xr.DataArray:
    """Y = M F S x, dim by dim with dense matrices, in xarray's own broadcasting by name."""
    data = image * dataset["sensitivities"] if "sensitivities" in dataset else image
    for kspace, dim in (("kx", "x"), ("ky", "y"), ("kz", "z")):
        if kspace in dataset["measurement"].dims:
            data = xr.DataArray(dft(data.sizes[dim]), dims=(kspace, dim)).dot(data, dim=dim)
    data = data * dataset["mask"] if "mask" in dataset else data
    return data.transpose(*dataset["measurement"].dims)


@pytest.mark.parametrize("index", range(len(EXAMPLES)))
def test_forward_is_the_dense_matrices(index, agreement):
    dataset = double(EXAMPLES[index])
    operator = preimage_operator(Settings(), dataset)
    assert (operator.domain, operator.codomain) == preimage_spaces(Settings(), dataset)
    x = operator.domain.randn(torch.Generator().manual_seed(0))
    expected = reference(dataset, xr.DataArray(x.numpy(), dims=operator.domain.dims))
    error = largest_error(operator(x), expected)
    agreement("operator.cartesian-mri", "dense DFT matrices, dim by dim by xarray", error, *ROUNDING)


@pytest.mark.parametrize("cache", [1, 200, 2**40], ids=["cut to the last", "some slabs", "one slab"])
@pytest.mark.parametrize("index", range(len(EXAMPLES)))
def test_slabs_change_nothing(index, cache, monkeypatch):
    monkeypatch.setattr(slabs_module, "CACHE", cache)
    operator = preimage_operator(Settings(), double(EXAMPLES[index]))
    for batch in ((), (2, 3)):
        x = operator.domain.randn(torch.Generator().manual_seed(0), batch)
        y = operator.codomain.randn(torch.Generator().manual_seed(1), batch)
        with torch.no_grad():
            fast = operator(x), operator.adjoint(y), operator.normal(x)
            long_way = operator.adjoint(operator(x))
        plain = operator._apply(x), operator._apply_adjoint(y), operator._apply_normal(x)  # gradients are on
        for one, other in zip((*fast, fast[2]), (*plain, long_way), strict=True):
            assert one.is_contiguous()
            torch.testing.assert_close(one, other, rtol=0, atol=EPS)


def test_batched_sensitivities_are_independent_problems():
    dataset = double(EXAMPLES[1])
    mask = preimage_operator(Settings(), dataset).mask
    codomain = preimage_spaces(Settings(), dataset)[1]
    maps = torch.randn(3, *codomain.shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(2))
    together = CartesianSense(maps, mask, codomain)
    x = together.domain.randn(torch.Generator().manual_seed(0))
    with torch.no_grad():
        for i in range(3):
            alone = CartesianSense(maps[i], mask, codomain)
            torch.testing.assert_close(together(x)[i], alone(x))
            torch.testing.assert_close(together.normal(x)[i], alone.normal(x))
            torch.testing.assert_close(together.adjoint(alone(x))[i], alone.adjoint(alone(x)))


def test_sense_is_sigpys(agreement):
    linop = pytest.importorskip("sigpy.mri.linop")
    dataset = double(kspace_dataset({"coil": 4, "kz": 7, "ky": 6}, ["kz", "ky"], sensitivities=True))
    theirs = linop.Sense(dataset["sensitivities"].values, weights=dataset["mask"].values.astype(float))
    ours = preimage_operator(Settings(), dataset)
    x = ours.domain.randn(torch.Generator().manual_seed(0))
    y = ours.codomain.randn(torch.Generator().manual_seed(1))
    for found, expected in (
        (ours(x), theirs(x.numpy())),
        (ours.adjoint(y), theirs.H(y.numpy())),
        (ours.normal(x), theirs.N(x.numpy())),
    ):
        error = largest_error(found, expected)
        agreement("operator.cartesian-mri", "SigPy's Sense, its adjoint and its normal", error, *ROUNDING)


def test_norm_is_exact_only_where_all_is_sampled():
    full = preimage_operator(Settings(), kspace_dataset({"coil": 3, "kz": 5, "ky": 4}, sensitivities=True))
    masked = preimage_operator(Settings(), EXAMPLES[0])
    assert (full.norm().kind, masked.norm().kind) == ("exact", "upper")


def test_only_the_closed_form_claims_what_it_has():
    for capability in (NormalSolvable, PseudoInvertible, HasSVD, MaskedTransform):
        assert issubclass(MaskedFourier, capability)
        assert not issubclass(CartesianSense, capability)


def test_closed_forms_are_those_of_the_dense_matrix(agreement):
    dataset = double(kspace_dataset({"kz": 3, "ky": 4}, ["kz", "ky"]))
    operator = preimage_operator(Settings(), dataset)
    unit = torch.eye(12, dtype=torch.complex128).reshape(12, 3, 4)
    matrix = operator(unit).reshape(12, 12).T
    rhs = operator.domain.randn(torch.Generator().manual_seed(3))
    damped = matrix.mH @ matrix + 0.3 * torch.eye(12, dtype=torch.float64)
    solved = torch.linalg.solve(damped, rhs.flatten())
    error = largest_error(operator.solve_normal(rhs, 0.3).flatten(), solved)
    agreement("operator.cartesian-mri", "torch's solve of the dense normal matrix", error, *ROUNDING)
    error = largest_error(operator.pinv(unit).reshape(12, 12).T, torch.linalg.pinv(matrix))
    agreement("operator.cartesian-mri", "torch's pseudo-inverse of the dense matrix", error, *ROUNDING)
    svd = operator.svd()
    image = operator.domain.randn(torch.Generator().manual_seed(4))
    torch.testing.assert_close(operator.normal(image), svd.v(svd.s**2 * svd.v.adjoint(image)), rtol=0, atol=EPS)
    torch.testing.assert_close(operator(image), operator.sampling_mask() * operator.transform(image), rtol=0, atol=EPS)
    torch.testing.assert_close(operator.inverse_transform(operator.transform(image)), image, rtol=0, atol=EPS)


def test_an_operator_without_undersampling_leaves_its_argument_alone():
    operator = MaskedFourier(Space(("kz", "ky"), (3, 4)), torch.ones(1, 1, dtype=torch.bool))
    x = operator.domain.randn(torch.Generator().manual_seed(0))
    kept = x.clone()
    with torch.no_grad():
        assert torch.equal(operator.normal(x), kept)
    assert torch.equal(x, kept)


def test_axes_split_what_image_and_data_share():
    hybrid, coil_images = EXAMPLES[1], EXAMPLES[6]
    assert preimage_axes(Settings(), hybrid) == {"x": split, "z": whole, "y": whole}
    assert preimage_axes(Settings(), coil_images) == {"coil": split, "x": split, "z": whole, "y": whole}


def test_spaces_of_data_still_to_be_simulated():
    truth = xr.Dataset({"truth": (("x", "z"), np.ones((3, 4), np.float32))})
    domain, codomain = preimage_spaces(Settings(), truth)
    assert domain == Space(("x", "z"), (3, 4), torch.complex64)
    assert codomain == Space(("kx", "kz"), (3, 4), torch.complex64)
    maps = truth.assign(sensitivities=(("coil", "z", "x"), complex_noise(np.random.default_rng(0), (2, 4, 3))))
    domain, codomain = preimage_spaces(Settings(), maps)
    assert domain == Space(("z", "x"), (4, 3), torch.complex64)
    assert codomain == Space(("coil", "kz", "kx"), (2, 4, 3), torch.complex64)


class TestRewrite:
    @staticmethod
    def proposed(dataset: xr.Dataset) -> list[str]:
        sections = preimage_rewrite(Settings(), dataset)
        assert all(section["use"] == "readout-ifft" for section in sections)
        return [section["dim"] for section in sections]

    def test_of_a_readout_that_the_mask_lacks(self):
        assert self.proposed(kspace_dataset({"coil": 2, "kx": 3, "kz": 4, "ky": 5}, ["kz", "ky"])) == ["kx"]

    def test_of_a_readout_along_which_a_small_mask_is_constant(self):
        dataset = kspace_dataset({"coil": 2, "kx": 3, "ky": 5}, ["kx", "ky"])
        assert self.proposed(dataset) == []
        dataset["mask"][:] = dataset["mask"][0]
        assert self.proposed(dataset) == ["kx"]
        dataset["mask"].attrs.clear()  # not small: it may not be looked at
        assert self.proposed(dataset) == []

    def test_leaves_a_dim_in_kspace(self):
        assert self.proposed(kspace_dataset({"kz": 4, "ky": 5})) == ["kz"]
        assert self.proposed(kspace_dataset({"z": 4, "ky": 5})) == []

    def test_of_nothing_before_there_are_data(self):
        assert self.proposed(kspace_dataset({"kz": 4, "ky": 5}).drop_vars("measurement")) == []


def broken(change: str) -> xr.Dataset:
    """A dataset with one mistake."""
    dataset = kspace_dataset({"coil": 2, "kz": 4, "ky": 5}, ["kz", "ky"], sensitivities=True)
    maps, mask, data = (dataset[name].values for name in ("sensitivities", "mask", "measurement"))
    match change:
        case "no k-space":
            return dataset.rename(kz="z", ky="y", z="kz", y="ky")[["measurement"]]
        case "both":
            return dataset.drop_vars("sensitivities").rename(kz="y")
        case "whole numbers":
            return dataset.assign(measurement=dataset["measurement"].real.astype(int))
        case "length":
            return dataset.assign(sensitivities=(("coil", "z", "y"), maps[:, :3]))
        case "missing dim":
            return dataset.assign(sensitivities=(("coil", "z"), maps[:, :, 0]))
        case "strange dim":
            return dataset.assign(sensitivities=(("set", "coil", "z", "y"), maps[None]))
        case "real maps":
            return dataset.assign(sensitivities=dataset["sensitivities"].real)
        case "no coil":
            return dataset.assign(measurement=(("kz", "ky"), data[0]))
        case "mask of image":
            return dataset.assign(mask=(("z", "y"), mask, {"small": True}))
        case "mask of numbers":
            return dataset.assign(mask=dataset["mask"].astype(int))
        case "empty":
            return dataset.assign(mask=(("kz", "ky"), mask & False, {"small": True}))
    raise ValueError(change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no k-space", "no dim in k-space"),
        ("both", "both ky and y"),
        ("whole numbers", "complex 'measurement' .*, or magnitudes: it is int64"),
        ("length", "have length 3 along 'z', the data have 4"),
        ("missing dim", "have no y"),
        ("strange dim", "have set"),
        ("real maps", "complex 'sensitivities'"),
        ("no coil", "no dim 'coil'"),
        ("mask of image", "mask over some of kz, ky"),
        ("mask of numbers", "int64"),
        ("empty", "is empty"),
    ],
)
def test_a_mistake_in_the_data_is_named(change, message):
    with pytest.raises(DataError, match=message):
        preimage_spaces(Settings(), broken(change))


def test_magnitudes_are_of_complex_kspace():
    """What sees no phase, such as a likelihood of amplitudes, has real data of the same operator."""
    dataset = kspace_dataset({"coil": 2, "kz": 4, "ky": 5}, ["kz", "ky"], sensitivities=True)
    assert preimage_spaces(Settings(), abs(dataset[["measurement"]]).merge(dataset.drop_vars("measurement"))) == (
        preimage_spaces(Settings(), dataset)
    )


def test_an_empty_mask_that_is_not_small_is_found_when_it_is_read():
    dataset = broken("empty")
    dataset["mask"].attrs.clear()
    preimage_spaces(Settings(), dataset)
    with pytest.raises(DataError, match="is empty"):
        preimage_operator(Settings(), dataset)


def test_classes_say_what_does_not_fit():
    codomain = Space(("coil", "kz", "ky"), (2, 4, 5))
    mask = torch.ones(1, 4, 5, dtype=torch.bool)
    with pytest.raises(SpaceError, match="have the shape"):
        CartesianSense(torch.ones(2, 4, 6, dtype=torch.complex64), mask, codomain)
    with pytest.raises(SpaceError, match="complex128"):
        CartesianSense(torch.ones(2, 4, 5, dtype=torch.complex128), mask, codomain)
    with pytest.raises(SpaceError, match="bool"):
        MaskedFourier(codomain, torch.ones(4, 5, dtype=torch.bool))
    with pytest.raises(SpaceError, match="'coil'"):
        CartesianSense(torch.ones(4, 5, dtype=torch.complex64), mask[0], Space(("kz", "ky"), (4, 5)))
