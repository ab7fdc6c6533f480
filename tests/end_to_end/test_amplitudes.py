"""Runs from magnitudes alone, of an operator that knows nothing of them: data are real, what it predicts is complex."""

import numpy as np
import pytest
import xarray as xr

import preimage

N, N_MASKS = 16, 6
RUN = """
[loader]
use = "zarr"
path = "data.zarr"

[simulate]

[operator]
use = "cartesian-mri"

[likelihood]
use = "amplitude"

[solver]
use = "gradient-descent"
max_iter = 300

[output]
path = "out.zarr"
"""
ROUNDING = 1e-5
"""Of single precision, ε = 1.2e-7, over hundreds of steps: 80 ε, as the laws have it."""


def dataset(scale=1.0):
    """A complex object, and coils that only turn phases: in k-space, coded diffraction patterns of it."""
    random = np.random.default_rng(0)
    truth = random.standard_normal((N, N)) + 1j * random.standard_normal((N, N))
    masks = np.exp(2j * np.pi * random.random((N_MASKS, N, N))) / N_MASKS**0.5
    dims = ("z", "y")
    return xr.Dataset(
        {
            "truth": (dims, (scale * truth).astype(np.complex64)),
            "sensitivities": (("coil", *dims), masks.astype(np.complex64)),
        }
    )


def aligned_error(found, truth):
    """‖x e^(iφ) − truth‖ / ‖truth‖ with the best global phase φ."""
    inner = np.vdot(found, truth)
    return np.linalg.norm(found * inner / abs(inner) - truth) / np.linalg.norm(truth)


@pytest.fixture
def shell(preimage_command):
    (preimage_command.folder / "run.toml").write_text(RUN)
    preimage.write_dataset(dataset(), preimage_command.folder / "data.zarr")
    return preimage_command


@pytest.mark.parametrize("normalise", ["true", "false"])
def test_an_object_is_found_up_to_its_phase(shell, normalise, agreement):
    plan = shell("run", "run.toml", "--dry-run")
    assert "simulate" in plan
    assert "readout-ifft" not in plan  # a magnitude in k-space is none of its inverse transform
    shell("run", "run.toml", "--set", f"compute.normalise={normalise}")
    result, truth = preimage.open_dataset(shell.folder / "out.zarr"), dataset()["truth"].values
    error = aligned_error(result["estimate"].values, truth)
    reason = "rounding of single precision, ε = 1.2e-7, over hundreds of steps: 80 ε"
    agreement("likelihood.amplitude", "the object behind coded magnitudes, up to its phase", error, ROUNDING, reason)
    assert float(result["history"].sel(block=0)[-1, 1]) < ROUNDING
    summary = result.attrs["preimage"]["summary"]
    assert summary["residual"] < ROUNDING
    assert summary["nrmse"] < ROUNDING  # scored over the phase that no data tell


def test_weights_and_steps_mean_the_same_in_any_units(shell):
    found = []
    for scale in (1.0, 2.0**20):
        preimage.write_dataset(dataset(scale), shell.folder / "data.zarr", overwrite=True)
        prior = 'prior=[{use="tikhonov", weight=0.05}]'
        shell("run", "run.toml", "--fresh", "--set", prior, "--set", "solver.max_iter=20")
        found.append(preimage.open_dataset(shell.folder / "out.zarr")["estimate"].values / scale)
    assert np.array_equal(*found)  # a power of two rounds nothing


def test_in_memory_as_well():
    measured = preimage.simulate(dataset(), operator="cartesian-mri", likelihood="amplitude")
    assert measured["measurement"].dtype == np.float32
    found = preimage.reconstruct(
        measured,
        operator="cartesian-mri",
        likelihood="amplitude",
        solver={"use": "gradient-descent", "max_iter": 300},
        normalise=False,
    )
    assert aligned_error(found.values, dataset()["truth"].values) < ROUNDING


@pytest.mark.parametrize(
    ("likelihood", "change", "says"),
    [
        ("gaussian", abs, "operator cartesian-mri gives complex64 data, the measurement is float32"),
        (
            "amplitude",
            lambda measured: measured,
            "likelihood amplitude is of magnitudes: operator cartesian-mri gives float32 data",
        ),
    ],
)
def test_data_of_the_other_kind_are_named(shell, likelihood, change, says):
    data = preimage.simulate(dataset(), operator="cartesian-mri")
    data = data.assign(measurement=change(data["measurement"]))
    preimage.write_dataset(data, shell.folder / "data.zarr", overwrite=True)
    assert says in shell("run", "run.toml", "--set", f"likelihood.use={likelihood}", code=2)
