"""Flat fields against counts that were made of known line integrals."""

import numpy as np
import pytest
import torch
import xarray as xr
from preimage.errors import DataError, RunError
from preimage.testing import PreparationLaws
from preimage.testing.agreement import largest_error

import lab_tomography.flat_field as flat_field
from lab_tomography.flat_field import FlatField, interpolated


class TestLaws(PreparationLaws):
    method = flat_field


RANDOM = np.random.default_rng(0)
LINE_INTEGRALS = RANDOM.random((2, 4, 9))  # z, angle, detector


def counted(line_integrals=LINE_INTEGRALS, gain=None, dtype=np.float64):
    """Exact counts, of a detector whose pixels differ in gain and in dark counts."""
    gain = 1000 * (0.5 + np.random.default_rng(1).random((2, 9))) if gain is None else gain
    dark = 100 + np.arange(9.0)
    measured = gain[:, None] * np.exp(-line_integrals) + dark
    spread = np.array([-5.0, 0, 5])[:, None, None]  # frames differ, their mean is exact
    return xr.Dataset(
        {
            "measurement": (("z", "angle", "detector"), measured.astype(dtype)),
            "white": (("white_frame", "z", "detector"), (gain + dark + spread).astype(dtype)),
            "dark": (("dark_frame", "z", "detector"), (np.broadcast_to(dark, (2, 9)) + spread).astype(dtype)),
        }
    )


def corrected(dataset, smallest=1e-4):
    return FlatField(smallest, dataset).apply(dataset, xr.Dataset())


def test_line_integrals_come_back_from_their_counts(agreement):
    after = corrected(counted().transpose("angle", "z", "detector", ...))
    assert after["measurement"].dims == ("angle", "z", "detector")
    assert set(after.variables) == {"measurement"}
    found = after["measurement"].transpose("z", "angle", "detector").values
    error, reason = largest_error(found, LINE_INTEGRALS), "rounding: some ε · counts / signal"
    agreement("preparation.flat-field", "the line integrals that counts were made of", error, 1e-13, reason)


def test_integer_counts_become_single_precision_within_a_count():
    after = corrected(counted(dtype=np.uint16))["measurement"]
    assert after.dtype == np.float32
    # Counts are cut off to integers: an error of 1 in at least 500 · e^(−1) = 184, in white fields and dark ones too.
    np.testing.assert_allclose(after.values, LINE_INTEGRALS, rtol=0, atol=3 / 184)


def test_pixels_that_are_dead_and_values_that_are_no_numbers_are_interpolated_along_their_row():
    ramp = np.broadcast_to(0.1 * np.arange(9.0), (2, 4, 9)).copy()
    gain = np.full((2, 9), 1000.0)
    gain[:, [3, 4]] = 0
    gain[1, 0] = -10
    dataset = counted(ramp, gain)
    dataset["measurement"].values[0, 1, 7] = np.nan
    dataset["measurement"].values[0, 2, 8] = np.inf
    expected = ramp.copy()
    expected[1, :, 0] = 0.1  # at the end of a row: the nearest
    expected[0, 2, 8] = 0.7
    np.testing.assert_allclose(corrected(dataset)["measurement"].values, expected, rtol=0, atol=1e-13)


def test_what_lets_nothing_through_is_held_at_the_smallest_transmission():
    opaque = LINE_INTEGRALS.copy()
    opaque[0, 0, 4] = 1000
    dataset = counted(opaque)
    dataset["measurement"].values[1, 1, 5] -= 1e5  # below the dark field
    found = corrected(dataset, smallest=1e-3)["measurement"].values
    np.testing.assert_allclose(found[[0, 1], [0, 1], [4, 5]], -np.log(1e-3), rtol=1e-12)


def test_a_row_without_any_usable_pixel_is_an_error():
    dataset = counted()
    dataset["measurement"].values[1, 2] = np.nan
    with pytest.raises(RunError, match="1 rows of projections have no usable pixel"):
        corrected(dataset)


def test_interpolation_is_numpys_in_every_row(agreement):
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(50, 12, generator=generator, dtype=torch.float64)
    good = torch.rand(50, 12, generator=generator) < 0.4
    good[:, 5] |= ~good.any(-1)
    found = interpolated(values, good)
    for row, mask, result in zip(values.numpy(), good.numpy(), found.numpy(), strict=True):
        error = largest_error(result, np.interp(np.arange(12), np.flatnonzero(mask), row[mask]))
        agreement("preparation.flat-field", "NumPy's interp", error, 1e-15, "values below 1, rounded: 4 ε")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.rename(z="x"), "not y or x"),
        (lambda d: d.isel(z=0).assign(measurement=d["measurement"]), "'white' with dims white_frame, z, detector"),
        (lambda d: d.assign(measurement=d["measurement"] + 0j), "needs counts: 'measurement' is complex128"),
    ],
)
def test_what_is_wrong_with_the_counts_is_said(change, message):
    with pytest.raises(DataError, match=message):
        FlatField(1e-4, change(counted()))
