"""The readout's inverse FFT: the same image from the same data, whichever way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import ValidationError

from preimage.errors import DataError
from preimage.testing.agreement import largest_error
from preimage_mri import cartesian_mri
from preimage_mri.examples import kspace_dataset
from preimage_mri.readout_ifft import Settings, preimage_preparation


def transformed(dataset: xr.Dataset, dim: str = "kx") -> xr.Dataset:
    preparation = preimage_preparation(Settings(dim=dim), dataset)
    described = preparation.describe(dataset)
    after = preparation.apply(dataset, xr.Dataset())
    assert after["measurement"].dims == described["measurement"].dims
    return after


@pytest.mark.parametrize("nx", [4, 5])
def test_it_is_numpys_centred_unitary_transform_along_the_readout(nx, agreement):
    data = kspace_dataset({"kz": 3, "kx": nx, "ky": 4})
    k = data["measurement"].values.astype(np.complex128)
    expected = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(k, axes=1), axis=1, norm="ortho"), axes=1)
    error = largest_error(transformed(data)["measurement"].transpose("kz", "x", "ky"), expected)
    reason = "an FFT of values of about 1 in single precision: some ε log n"
    agreement("preparation.readout-ifft", "NumPy's FFT", error, 1e-6, reason)


@pytest.mark.parametrize("dims", [("coil", "kx", "kz", "ky"), ("coil", "kz", "ky", "kx"), ("kz", "kx", "coil", "ky")])
@pytest.mark.parametrize("nx", [4, 5])
def test_image_space_operator_is_the_same_in_both_spaces(dims, nx):
    sizes = {"coil": 2, "kx": nx, "kz": 3, "ky": 4}
    data = kspace_dataset({dim: sizes[dim] for dim in dims}, ["kz", "ky"], sensitivities=True)
    data = data.map(lambda array: array.astype(np.complex128) if array.dtype.kind == "c" else array, keep_attrs=True)
    hybrid = transformed(data)
    assert hybrid["measurement"].dims[:2] == ("coil", "x")

    def backprojected(dataset: xr.Dataset) -> xr.DataArray:
        operator = cartesian_mri.preimage_operator(cartesian_mri.Settings(), dataset)
        y = torch.from_numpy(dataset["measurement"].values)
        return xr.DataArray(operator.adjoint(y).numpy(), dims=operator.domain.dims)

    before = backprojected(data)
    np.testing.assert_allclose(backprojected(hybrid).transpose(*before.dims), before, rtol=0, atol=1e-13)


def test_energy_is_kept():
    data = kspace_dataset({"coil": 2, "kx": 7, "ky": 3})
    assert np.linalg.norm(transformed(data)["measurement"]) == pytest.approx(
        float(np.linalg.norm(data["measurement"])), rel=1e-6
    )


def test_masks_lose_the_dim_along_which_they_are_constant():
    data = kspace_dataset({"kx": 3, "ky": 4}, ["kx", "ky"])
    data["mask"][:] = data["mask"][0]
    data["held_out"] = data["mask"].copy()
    after = transformed(data)
    assert after["mask"].dims == after["held_out"].dims == ("ky",)
    assert after["mask"].attrs == {"small": True}


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (kspace_dataset({"kz": 3, "ky": 4}), "with the dim 'kx'"),
        (kspace_dataset({"kx": 3, "x": 4}), "without 'x'"),
        (kspace_dataset({"kx": 3, "ky": 4}).map(np.real), "complex 'measurement'"),
        (kspace_dataset({"kx": 3, "ky": 4}, ["kx", "ky"]), "varies along 'kx'"),
        (kspace_dataset({"kx": 3, "ky": 4}).assign(noise_std=("kx", np.ones(3))), "cannot transform noise_std"),
    ],
)
def test_data_that_it_is_not_for_are_refused(dataset, message):
    with pytest.raises(DataError, match=message):
        transformed(dataset)


def test_only_dims_of_kspace_are_readouts():
    with pytest.raises(ValidationError, match="kx, ky, kz"):
        Settings(dim="x")
