"""Scoring an estimate over what the operator cannot tell apart, for every independent problem by itself."""

import numpy as np
import pytest
import xarray as xr

from preimage.volumes import stores
from preimage.volumes.planning.plan import ArrayPlan, StagePlan
from preimage.volumes.scoring import score

DIMS, SHAPE = ("z", "y", "x"), (5, 12, 9)
AMBIGUITY = frozenset({"phase", "shift", "flip"})
RNG = np.random.default_rng(0)
TRUTH = RNG.random(SHAPE) + 1j * RNG.random(SHAPE)


def turned(image, i):
    """Each image turned, shifted and, every other one, flipped."""
    flipped = np.flip(image).conj() if i % 2 else image
    return np.exp(1j * i) * np.roll(flipped, (i, 2 * i), (0, 1))


@pytest.fixture
def stored(tmp_path):
    """A store with an estimate, a little noise in it, and the truth."""
    noisy = TRUTH + 0.01 * RNG.standard_normal(SHAPE)
    estimate = np.stack([turned(image, i) for i, image in enumerate(noisy)])
    group = stores.create_group(tmp_path / "out.zarr")
    stores.create_array(group, "estimate", ArrayPlan(DIMS, SHAPE, "complex128", SHAPE), compressed=False)
    stores.open_for_writing(tmp_path / "out.zarr", "estimate")[...] = estimate
    inner = np.array([np.vdot(image, truth) for image, truth in zip(noisy, TRUTH, strict=True)])
    best = noisy * (inner / abs(inner))[:, None, None]  # a phase of each takes a little of the noise away too
    error = np.linalg.norm(best - TRUTH) / np.linalg.norm(TRUTH)
    return tmp_path / "out.zarr", xr.DataArray(TRUTH, dims=DIMS), error


def stage(**block):
    sizes = {dim: n for dim, n in zip(DIMS, SHAPE, strict=True) if dim in block}
    return StagePlan(0, 0, True, (), sizes, block, {}, 0, 0, 0)


@pytest.mark.parametrize("block", [{}, {"z": 1}, {"z": 2}], ids=["whole", "one by one", "two by two"])
def test_every_image_is_aligned_by_itself_however_the_run_was_cut(stored, block):
    path, truth, error = stored
    found = score(path, "estimate", truth, stage(**block), AMBIGUITY, ["z"])
    assert found["nrmse"] == pytest.approx(error, rel=1e-12)
    assert found["ssim"] > 0.9


def test_together_they_cannot_be(stored):
    path, truth, error = stored
    assert score(path, "estimate", truth, stage(), AMBIGUITY, [])["nrmse"] > 10 * error
    assert score(path, "estimate", truth, stage(), AMBIGUITY - {"flip"}, ["z"])["nrmse"] > 10 * error


def test_a_negative_real_image_keeps_its_signs(tmp_path):
    """A factor that turns a real estimate is real: its magnitude alone would lose which pixels are below zero."""
    truth = RNG.standard_normal((8, 9))
    group = stores.create_group(tmp_path / "out.zarr")
    stores.create_array(group, "estimate", ArrayPlan(DIMS[1:], (8, 9), "float64", (8, 9)), compressed=False)
    stores.open_for_writing(tmp_path / "out.zarr", "estimate")[...] = -0.5 * truth
    plan = StagePlan(0, 0, True, (), {}, {}, {}, 0, 0, 0)
    found = score(tmp_path / "out.zarr", "estimate", xr.DataArray(truth, dims=DIMS[1:]), plan, frozenset({"scale"}), [])
    assert found["nrmse"] < 1e-12
