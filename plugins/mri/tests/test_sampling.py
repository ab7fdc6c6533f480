"""Sampling: the centre, the patterns, what is held out, and what happens to the data."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from preimage.data import lazy
from preimage.errors import DataError, RequestError
from preimage_mri.examples import kspace_dataset
from preimage_mri.fourier import centred_slice
from preimage_mri.sampling import patterns
from preimage_mri.sampling.centre import box_mask, centre_box
from preimage_mri.sampling_mask import SLAB, Settings, preimage_preparation


def prepared(settings: Settings, dataset: xr.Dataset) -> xr.Dataset:
    """The dataset afterwards, fitted as a run does."""
    preparation = preimage_preparation(settings, dataset)
    described = preparation.describe(dataset)
    after = preparation.apply(dataset, preparation.fit(dataset.isel(preparation.reads(dataset))))
    for name in ("mask", "held_out"):
        if name in after:
            assert described[name].attrs == {"small": True}
            np.testing.assert_array_equal(described[name].values, after[name].values)
    return after


class TestCentre:
    @pytest.mark.parametrize("seed", range(20))
    def test_box_is_the_largest_of_all(self, seed, agreement):
        generator = np.random.default_rng(seed)
        shape = tuple(generator.integers(1, 7, generator.integers(1, 4)))
        mask = generator.random(shape) < 0.85

        def full(box):
            return mask[tuple(map(centred_slice, box, shape))].all()

        every = itertools.product(*(range(1, n + 1) for n in shape))
        largest = max((math.prod(box) for box in every if full(box)), default=0)
        found = centre_box(mask)
        error = abs(math.prod(found) - largest)
        agreement("preparation.sampling-mask", "all boxes of a mask, for the largest full one", error, 0, "a count")
        assert not largest or full(found)

    def test_box_and_its_mask_agree(self):
        for n, m in itertools.product((5, 6), (7, 8)):
            mask = box_mask({"kz": n, "ky": m}, {"kz": 3, "ky": 4})
            assert mask.sum() == 12
            assert centre_box(mask) == (3, 4)


class TestRegular:
    @pytest.mark.parametrize("n", [15, 16])
    def test_lines_are_equally_far_apart_and_pass_through_frequency_zero(self, n):
        lines = np.flatnonzero(patterns.regular({"ky": n}, 4, {}))
        assert set(np.diff(lines)) == {4}
        assert n // 2 in lines

    def test_the_centre_is_full(self):
        mask = patterns.regular({"ky": 20}, 5, {"ky": 7})
        assert mask[centred_slice(7, 20)].all()
        assert mask.sum() == 7 + 3  # of the lines 0, 5, 10, 15 one lies inside 7 … 13


class TestVariableDensity:
    sizes = {"kz": 48, "ky": 33}  # noqa: RUF012

    @pytest.mark.parametrize("acceleration", [1.0, 2.5, 4.0, 10.0])
    def test_number_of_samples_is_exact(self, acceleration, agreement):
        mask = patterns.variable_density(self.sizes, acceleration, {"kz": 8, "ky": 6}, 3.0, 0)
        error = abs(int(mask.sum()) - round(48 * 33 / acceleration))
        agreement("preparation.sampling-mask", "the number of samples at an acceleration", error, 0, "a count")
        assert mask[centred_slice(8, 48), centred_slice(6, 33)].all()

    def test_seed_decides(self):
        one, same, other = (patterns.variable_density(self.sizes, 4, {}, 3.0, seed) for seed in (0, 0, 1))
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)

    @staticmethod
    def mean_radius(power: float) -> float:
        masks = (patterns.variable_density(TestVariableDensity.sizes, 8, {}, power, seed) for seed in range(20))
        radius = patterns._radius((48, 33))
        return float(np.mean([radius[mask].mean() for mask in masks]))

    def test_samples_become_rarer_outwards(self):
        whole = patterns._radius((48, 33))
        n = 20 * 48 * 33 / 8  # samples that are averaged
        error = 5 * whole.std() / n**0.5  # five standard errors of the mean radius
        assert self.mean_radius(3.0) < whole.mean() - 0.1
        assert abs(self.mean_radius(0.0) - whole.mean()) < error  # power 0 is uniform

    def test_a_centre_that_is_too_large_is_refused(self):
        with pytest.raises(RequestError, match="alone has 1584 samples"):
            patterns.variable_density(self.sizes, 4, {"kz": 48, "ky": 33}, 3.0, 0)


class TestHeldOut:
    def test_share_outside_the_centre_leaves_the_mask(self):
        data = kspace_dataset({"coil": 2, "kz": 20, "ky": 21})
        settings = Settings(
            pattern="variable-density", dims=("kz", "ky"), acceleration=2, centre={"kz": 6, "ky": 6}, hold_out=0.1
        )
        after = prepared(settings, data)
        before = prepared(settings.model_copy(update={"hold_out": 0.0}), data)
        mask, held, all_of_them = after["mask"].values, after["held_out"].values, before["mask"].values
        assert np.array_equal(mask | held, all_of_them)
        assert not (mask & held).any()
        assert held.sum() == round(0.1 * (210 - 36))
        assert not held[centred_slice(6, 20), centred_slice(6, 21)].any()

    def test_values_are_kept(self):
        data = kspace_dataset({"coil": 2, "ky": 30})
        after = prepared(Settings(pattern="regular", dims=("ky",), acceleration=2, hold_out=0.2), data)
        kept = (after["mask"] | after["held_out"]).values
        assert np.array_equal(after["measurement"].values[:, kept], data["measurement"].values[:, kept])
        assert not after["measurement"].values[:, ~kept].any()

    def test_without_centre_the_largest_full_box_is_spared(self):
        data = kspace_dataset({"ky": 40})
        mask = box_mask({"ky": 40}, {"ky": 11})
        mask[::3] = True
        data = data.assign(measurement=("ky", np.where(mask, data["measurement"].values, 0)))
        held = prepared(Settings(pattern="from-data", hold_out=0.99), data)["held_out"].values
        assert held.any()
        assert not held[centred_slice(11, 40)].any()

    def test_nothing_to_hold_out_is_refused(self):
        data = kspace_dataset({"ky": 8})
        with pytest.raises(RequestError, match="no sample outside the centre"):
            prepared(Settings(pattern="from-data", hold_out=0.5), data)

    def test_of_simulated_data_is_refused(self):
        truth = xr.Dataset({"truth": (("z", "y"), np.ones((4, 6), np.float32))})
        with pytest.raises(DataError, match="judged by their truth"):
            prepared(Settings(pattern="regular", dims=("ky",), hold_out=0.1), truth)


class TestFromData:
    def test_is_what_is_not_zero_and_only_the_first_coil_is_read(self):
        mask = np.random.default_rng(0).random((6, 7)) < 0.3
        values = kspace_dataset({"coil": 3, "kx": 4, "kz": 6, "ky": 7})["measurement"].values * mask
        read = []

        def part(index):
            read.append(index[0])
            return values[index]

        data = xr.Dataset({"measurement": lazy(("coil", "kx", "kz", "ky"), values.shape, values.dtype, part)})
        settings = Settings(pattern="from-data", dims=("kz", "ky"))
        preparation = preimage_preparation(settings, data)
        described = preparation.describe(data)
        assert read == []
        assert np.array_equal(described["mask"].values, mask)
        assert np.array_equal(preparation.fit(data.isel(preparation.reads(data)))["mask"].values, mask)
        assert all(coil in (0, slice(0, 1)) for coil in read)

    def test_slabs_change_nothing(self, monkeypatch):
        data = prepared(
            Settings(pattern="variable-density", dims=("kz", "ky"), acceleration=3), kspace_dataset({"kz": 9, "ky": 7})
        )
        zeroed = data[["measurement"]]
        for slab in (1, 200, SLAB):
            monkeypatch.setattr("preimage_mri.sampling_mask.SLAB", slab)
            found = prepared(Settings(pattern="from-data"), zeroed)
            assert np.array_equal(found["mask"].values, data["mask"].values)

    def test_data_without_a_sample_are_refused(self):
        data = kspace_dataset({"ky": 5}) * 0
        with pytest.raises(DataError, match="finds no sample"):
            prepared(Settings(pattern="from-data"), data)

    def test_simulated_data_are_refused(self):
        with pytest.raises(DataError, match="not a simulated one"):
            prepared(Settings(pattern="from-data"), xr.Dataset({"truth": (("z",), np.ones(4, np.float32))}))


def test_a_truth_gets_a_mask_of_its_kspace():
    truth = xr.Dataset({"truth": (("x", "z", "y"), np.ones((2, 4, 6), np.float32))})
    after = prepared(Settings(pattern="regular", dims=("ky",), acceleration=2), truth)
    assert after["mask"].dims == ("ky",)
    assert after["mask"].sizes == {"ky": 6}


def test_a_mask_that_is_there_stays_in_force():
    data = kspace_dataset({"kz": 6, "ky": 8}, ["kz", "ky"])
    lines = patterns.regular({"ky": 8}, 2, {})
    after = prepared(Settings(pattern="regular", dims=("ky",), acceleration=2), data)
    expected = data["mask"].values & lines
    assert np.array_equal(after["mask"].transpose("kz", "ky").values, expected)


def test_what_is_not_sampled_may_be_anything():
    data = kspace_dataset({"coil": 2, "ky": 8})
    mask = patterns.regular({"ky": 8}, 2, {})
    data["measurement"][:, ~mask] = np.nan
    after = prepared(Settings(pattern="regular", dims=("ky",), acceleration=2), data)
    assert np.isfinite(after["measurement"].values).all()


def test_dims_that_are_not_in_kspace_are_named():
    with pytest.raises(DataError, match=r"dims = kz, .*has ky in k-space"):
        prepared(Settings(pattern="variable-density", dims=("kz",)), kspace_dataset({"coil": 2, "z": 3, "ky": 8}))


@pytest.mark.parametrize("centre", [{"ky": 9}, {"kz": 2}])
def test_a_centre_that_does_not_fit_is_refused(centre):
    data = kspace_dataset({"ky": 8})
    with pytest.raises(DataError, match="the mask has ky of length 8"):
        prepared(Settings(pattern="from-data", hold_out=0.1, centre=centre), data)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pattern": "regular"}, "needs dims"),
        ({"pattern": "regular", "dims": ("kz", "ky")}, "one dim"),
        ({"pattern": "regular", "dims": ("ky",), "acceleration": 2.5}, "whole number"),
        ({"pattern": "variable-density", "dims": ("y",)}, "y is no dim of k-space"),
        ({"pattern": "regular", "dims": ("ky",), "centre": {"kz": 4}}, "kz is not among"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Settings(**settings)
