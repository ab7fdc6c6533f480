"""Simulated coils: the field of a wire, normalised, and no product along the readout."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr

from preimage.errors import DataError
from preimage.testing.agreement import largest_error
from preimage_mri.examples import ball
from preimage_mri.simulate_coils import RING, Settings, SimulateCoils, preimage_preparation


def truth(dtype=np.float32, **sizes: int) -> xr.Dataset:
    return xr.Dataset({"truth": (list(sizes), np.ones(list(sizes.values()), dtype))})


def maps_of(dataset: xr.Dataset, **settings) -> np.ndarray:
    preparation = preimage_preparation(Settings(**settings), dataset)
    return preparation.apply(dataset, preparation.fit(dataset))["sensitivities"].values


def test_field_is_that_of_a_piece_of_wire(agreement):
    coils = SimulateCoils(5, 1.7, truth(x=2, z=2, y=2))
    point = torch.tensor([0.3, -0.4, 0.7], dtype=torch.float64)
    for coil in range(5):
        angle = 2 * math.pi * coil / 5
        where = torch.tensor([RING * (-1) ** coil, 1.7 * math.cos(angle), 1.7 * math.sin(angle)], dtype=torch.float64)
        wire = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
        b = torch.linalg.cross(wire, point - where) / (point - where).norm() ** 3
        expected = torch.complex(b[1], -b[2])
        error = largest_error(coils.field(coil, list(point)), expected) / abs(expected)
        reason = "relative: rounding of a dozen operations"
        agreement("preparation.simulate-coils", "Biot and Savart's law, by a cross product", error, 1e-12, reason)


@pytest.mark.parametrize("sizes", [{"x": 9, "z": 4, "y": 7}, {"z": 6, "y": 5}, {"y": 8}])
def test_root_sum_of_squares_is_one(sizes):
    energy = (np.abs(maps_of(truth(**sizes), n_coils=6)) ** 2).sum(0)
    np.testing.assert_allclose(energy, 1, atol=1e-6)  # single precision


def share_of_a_product(one: np.ndarray) -> float:
    """Energy of the best product f(x) g(z, y) of a map (x, z, y)."""
    values = np.linalg.svd(one.reshape(len(one), -1), compute_uv=False) ** 2
    return float(values[0] / values.sum())


def test_maps_are_no_products_along_the_readout():
    maps = maps_of(truth(x=32, z=6, y=24))
    assert all(share_of_a_product(one) < 0.99 for one in maps)
    product = maps[0][:, :1, :1] * maps[0][:1]
    assert share_of_a_product(product) > 0.9999


def test_coils_are_independent_and_smooth():
    maps = maps_of(truth(x=32, z=32, y=32))
    spectrum = np.linalg.svd(maps.reshape(8, -1), compute_uv=False)
    assert spectrum[-1] > 0.01 * spectrum[0]
    # on the sphere in which an object is, 0.5 from the nearest wire, fields change by themselves in some such lengths,
    # and a voxel is 2/32; maps that jump would differ by up to 2
    inside = ball({"x": 32, "z": 32, "y": 32}, 1.0) > 0
    for axis in range(3):
        both = np.moveaxis(inside, axis, 0)[1:] & np.moveaxis(inside, axis, 0)[:-1]
        steps = np.diff(np.moveaxis(maps, axis + 1, 1), axis=1)
        assert np.abs(steps[:, both]).max() < 0.2


def test_precision_follows_the_truth():
    assert maps_of(truth(z=3, y=3)).dtype == np.complex64
    assert maps_of(truth(np.complex128, z=3, y=3)).dtype == np.complex128


def test_a_truth_without_image_dims_is_refused():
    with pytest.raises(DataError, match="some of the dims x, y, z"):
        preimage_preparation(Settings(), truth(time=3))
