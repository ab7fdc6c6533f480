"""The axis of rotation against the one that a scan was made with."""

import numpy as np
import pytest
import xarray as xr
from preimage.errors import RunError
from preimage.testing import PreparationLaws

import lab_tomography.centre_of_rotation as centre_of_rotation
from lab_tomography.centre_of_rotation import CentreOfRotation, Settings, without_drift
from lab_tomography.phantom import scan


class TestLaws(PreparationLaws):
    method = centre_of_rotation


def fitted(dataset, **settings):
    preparation = CentreOfRotation(Settings(**settings), dataset)
    return float(preparation.fit(dataset.isel(preparation.reads(dataset)))["centre"])


def shifted(shift, n_angles=60, n_pixels=128):
    """A scan whose axis is off the middle, on a detector that is wide enough for that, of discs seen half as large."""
    dataset = scan({"z": 3}, n_angles, n_pixels // 2, centre=(n_pixels // 2 - 1) / 2 + shift, dtype=np.float64)
    return dataset.drop_vars("centre").pad(detector=n_pixels // 4, constant_values=0)


@pytest.mark.parametrize("shift", [-5.0, -0.4, 0.0, 0.13, 3.7])
def test_a_shift_is_found_from_projections_that_are_exact(shift, agreement):
    reason = "pixels: averages over them shift a centre of mass by h²/12 of a change across one, at edges alone"
    error = abs(fitted(shifted(shift)) - 63.5 - shift)
    agreement("preparation.centre-of-rotation", "the axis that a scan was made with", error, 0.01, reason)


def test_a_shift_is_found_from_noisy_projections_that_drift(agreement):
    """Errors are as large as the noise of the projections makes them, which passes linearly into the centre of mass."""
    random, n_runs, noise = np.random.default_rng(0), 40, 0.3
    errors, uncorrected = [], []
    for shift in random.uniform(-6, 6, n_runs):
        dataset = shifted(shift)
        values = dataset["measurement"].values
        values += noise * random.standard_normal(values.shape) + 0.05 * np.arange(values.shape[-1])
        errors.append(fitted(dataset) - 63.5 - shift)
        uncorrected.append(fitted(dataset, air=0) - 63.5 - shift)
    clean = shifted(0.0)
    angles, mass = np.radians(clean["angle"].values), clean["measurement"].values[:, 0].sum(-1).mean() * 6 / 3
    moment = without_drift(np.eye(128), 0.05) @ (np.arange(128) - 63.5)  # of noise in each pixel
    of_mass = noise * np.sqrt(3) * np.linalg.norm(moment) / mass  # of three slices together, whose masses are 1, 2, 3
    design = np.stack([np.ones_like(angles), np.cos(angles), np.sin(angles)], axis=-1)
    expected = of_mass * np.sqrt(np.linalg.inv(design.T @ design)[0, 0])
    assert expected < 0.03
    assert np.abs(errors).max() < 0.1
    agreement(
        "preparation.centre-of-rotation",
        "the error that noise makes, passed on linearly",
        abs(np.sqrt(np.mean(np.square(errors))) / expected - 1),
        0.45,
        "relative: the rms of 40 errors is known to 1/√80 = 11 %, four times that",
    )
    assert np.abs(uncorrected).min() > 0.1  # the drift does matter


def test_few_slices_in_the_middle_are_read():
    dataset = scan({"z": 9}, 5, 8)
    assert CentreOfRotation(Settings(n_slices=4), dataset).reads(dataset) == {"z": slice(2, 6)}


def test_drift_is_a_line_through_both_ends():
    angles = np.array([1.0, -2.0])[:, None]
    line = angles * (3 + 0.25 * np.arange(40))
    np.testing.assert_allclose(without_drift(line, 0.1), 0, atol=1e-13)
    assert without_drift(line, 0.0) is line


def test_an_object_that_is_not_seen_as_a_whole_is_refused():
    dataset = shifted(0.0).isel(detector=slice(0, 70))
    with pytest.raises(RunError, match="not seen as a whole, give the operator the setting centre"):
        fitted(dataset)


@pytest.mark.parametrize("kept", [slice(0, 2), slice(0, 60, 40), slice(0, 10)])
def test_angles_that_do_not_tell_are_refused(kept):
    with pytest.raises(RunError, match="angles over .* are too few: give the operator"):
        fitted(shifted(0.0).isel(angle=kept))


def test_an_empty_scan_is_refused():
    with pytest.raises(RunError, match="vary by"):
        fitted(xr.zeros_like(shifted(0.0)))
