"""Coil sensitivities: against SigPy, against padded FFTs, in either space of the readout, and on what they find."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from preimage.data import lazy
from preimage.errors import DataError
from preimage.testing.agreement import largest_error
from preimage_mri import coil_sensitivities
from preimage_mri.coil_sensitivities import Settings, preimage_preparation, preimage_rewrite
from preimage_mri.dims import in_image_space
from preimage_mri.examples import ball, kspace_dataset
from preimage_mri.fourier import centred_fft, centred_range, centred_slice
from preimage_mri.readout_ifft import ReadoutIfft
from preimage_mri.sensitivities.espirit import espirit, widest_kernel
from preimage_mri.simulate_coils import SimulateCoils

ESPIRIT = Settings(method="espirit")


def brain_like(n_coils: int = 4, **sizes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A ball with a smooth phase, maps, and k-space of their product with a little noise."""
    truth = xr.Dataset({"truth": (list(sizes), ball(sizes))})
    coils = SimulateCoils(n_coils, 1.5, truth)
    maps = coils.apply(truth, coils.fit(truth))["sensitivities"].values
    phase = np.exp(1j * np.linspace(0, 2, list(sizes.values())[-1]))
    image = (truth["truth"].values * phase).astype(np.complex64)
    generator = torch.Generator().manual_seed(0)
    kspace = centred_fft(torch.from_numpy(maps * image), tuple(range(1, maps.ndim)))
    kspace = kspace + 1e-3 * torch.randn(kspace.shape, dtype=kspace.dtype, generator=generator)
    return image, maps, kspace.numpy()


def estimated(settings: Settings, dataset: xr.Dataset) -> xr.DataArray:
    preparation = preimage_preparation(settings, dataset)
    fitted = preparation.fit(dataset.isel(preparation.reads(dataset)))
    return preparation.apply(dataset, fitted)["sensitivities"]


def lines(n: int, centre: int) -> np.ndarray:
    mask = np.arange(n) % 3 == 0
    mask[centred_slice(centre, n)] = True
    return mask


class TestEspirit:
    def test_is_sigpys(self, agreement):
        app = pytest.importorskip("sigpy.mri.app")
        _, _, kspace = brain_like(5, z=32, y=30)
        theirs = app.EspiritCalib(
            kspace, calib_width=20, thresh=0.02, kernel_width=5, crop=0.95, max_iter=200, show_pbar=False
        ).run()
        data = xr.Dataset({"measurement": (("coil", "kz", "ky"), kspace)})
        settings = Settings(method="espirit", calibration={"kz": 20, "ky": 20}, kernel=5)
        ours = estimated(settings, data).values
        here, there = np.abs(ours).sum(0) > 0, np.abs(theirs).sum(0) > 0
        share = (here != there).mean()
        reason = "of voxels: eigenvalues at the threshold may fall to either side"
        agreement("preparation.coil-sensitivities", "SigPy's EspiritCalib, where there are maps", share, 0.01, reason)
        assert here.mean() > 0.4
        cosine = np.abs((ours.conj() * theirs).sum(0))[here & there]
        agreement(
            "preparation.coil-sensitivities",
            "SigPy's EspiritCalib, the maps up to a phase a voxel",
            np.abs(1 - cosine).max(),
            1e-3,
            "of the correlation: their eigenvectors are iterated 200 times, ours are not",
        )

    @pytest.mark.parametrize("centre", [24, 16])
    def test_finds_the_maps_in_the_object_and_leaves_its_phase_to_the_image(self, centre, agreement):
        image, maps, kspace = brain_like(4, z=32, y=36)
        data = xr.Dataset({"measurement": (("coil", "kz", "ky"), kspace)})
        settings = Settings(method="espirit", calibration={"kz": centre, "ky": centre})
        found = estimated(settings, data).values
        inside = np.abs(image) > 0.5
        cosine = np.abs((found.conj() * maps).sum(0))[inside]
        agreement(
            "preparation.coil-sensitivities",
            "the maps that data were simulated with",
            np.abs(1 - np.median(cosine)),
            1e-3,
            "of the correlation: noise of 1e-3, and Gibbs ringing of the calibrated centre",
        )
        np.testing.assert_allclose((np.abs(found) ** 2).sum(0)[inside], 1, atol=1e-5)
        assert not found[:, np.abs(found).sum(0) == 0].any()
        turned = (found.conj() * maps).sum(0) * image  # the image that these maps see
        smooth = np.angle(turned[:, 1:] / np.where(turned[:, :-1] == 0, 1, turned[:, :-1]))
        assert np.abs(smooth[inside[:, 1:] & inside[:, :-1]]).max() < 0.5  # no jump of phase from voxel to voxel

    def test_phase_refers_to_the_reference(self):
        _, _, kspace = brain_like(3, z=16, y=16)
        centre = torch.from_numpy(kspace)[:, 2:14, 2:14]
        places = [centred_range(16) / 16] * 2
        for reference in (torch.tensor([1, 0, 0]), torch.tensor([1, 1j, -1])):
            reference = reference.to(torch.complex64)
            maps = espirit(centre, places, reference, crop=0)
            against = (reference.conj()[:, None, None] * maps).sum(0)
            assert float(against.imag.abs().max()) < 1e-5  # single precision
            assert float(against.real.min()) > 0

    def test_rows_at_a_time_change_nothing(self, monkeypatch):
        _, _, kspace = brain_like(3, z=16, y=18)
        data = xr.Dataset({"measurement": (("coil", "kz", "ky"), kspace.astype(np.complex128))})
        whole = estimated(ESPIRIT, data)
        monkeypatch.setattr("preimage_mri.sensitivities.espirit.WORKSPACE", 1)
        np.testing.assert_allclose(estimated(ESPIRIT, data), whole, atol=1e-9)  # eigenvectors of rounded matrices

    def test_one_undersampled_dim_takes_the_readout_along(self):
        image, maps, kspace = brain_like(4, x=32, y=36)
        data = xr.Dataset(
            {"measurement": (("coil", "kx", "ky"), kspace), "mask": ("ky", lines(36, 16), {"small": True})}
        )
        found = estimated(ESPIRIT, data).values
        inside = np.abs(image) > 0.5
        assert np.median(np.abs((found.conj() * maps).sum(0))[inside]) > 0.999

    def test_patches_are_as_wide_as_the_centre_allows(self):
        assert widest_kernel(8, 24, 24) == 6
        assert widest_kernel(8, 8, 16) == 3
        assert widest_kernel(64, 8, 8) == 2


class TestLowResolution:
    def test_is_the_padded_transform_of_the_centre_under_a_window(self, agreement):
        _, _, kspace = brain_like(3, z=15, y=16)
        data = xr.Dataset(
            {
                "measurement": (("coil", "kz", "ky"), kspace.astype(np.complex128)),
                "mask": ("ky", lines(16, 6), {"small": True}),
            }
        )
        centre = centred_slice(6, 16)
        padded = np.zeros_like(data["measurement"].values)
        window = np.cos(np.pi * np.arange(-3, 3) / 7) ** 2
        padded[..., centre] = data["measurement"].values[..., centre] * window
        low = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(padded, axes=(1, 2))), axes=(1, 2))
        expected = low / np.sqrt((np.abs(low) ** 2).sum(0))
        agreement(
            "preparation.coil-sensitivities",
            "NumPy's padded FFT under a window, at low resolution",
            largest_error(estimated(Settings(), data), expected),
            1e-12,
            "rounding of an FFT, over a root sum of squares that may be small",
        )

    def test_is_zero_where_there_is_nothing_but_rounding(self):
        image = np.zeros((2, 8, 16), np.complex64)
        image[:, 3] = np.random.default_rng(0).standard_normal(16)
        kspace = centred_fft(torch.from_numpy(image), (1, 2)).numpy()
        data = xr.Dataset({"measurement": (("coil", "kz", "ky"), kspace)})
        found = estimated(Settings(), data).values
        assert not found[:, np.arange(8) != 3].any()
        np.testing.assert_allclose((np.abs(found[:, 3]) ** 2).sum(0), 1, atol=1e-5)


@pytest.mark.parametrize(
    "settings", [Settings(), Settings(method="espirit", kernel=3)], ids=["low-resolution", "espirit"]
)
@pytest.mark.parametrize("mask_dims", [("kz", "ky"), ("ky",)])
def test_either_space_of_the_readout_gives_the_same_maps(settings, mask_dims):
    _, _, kspace = brain_like(3, x=10, z=12, y=15)
    sizes = {"kz": 12, "ky": 15}
    mask = np.ones([sizes[dim] for dim in mask_dims], bool)
    mask[0] = False
    data = xr.Dataset(
        {
            "measurement": (("coil", "kx", "kz", "ky"), kspace.astype(np.complex128)),
            "mask": (mask_dims, mask, {"small": True}),
        }
    )
    kept = estimated(settings, data)
    hybrid = data
    for section in preimage_rewrite(settings, data):
        assert section["use"] == "readout-ifft"
        hybrid = ReadoutIfft(section["dim"]).apply(hybrid, xr.Dataset())
    assert "x" in hybrid["measurement"].dims
    assert preimage_rewrite(settings, hybrid) == []
    np.testing.assert_allclose(estimated(settings, hybrid).transpose(*kept.dims), kept, atol=1e-9)


def test_only_the_centre_is_read():
    values = kspace_dataset({"coil": 2, "x": 3, "ky": 20})["measurement"].values
    read = []

    def part(index):
        read.append(index)
        return values[index]

    data = xr.Dataset(
        {
            "measurement": lazy(("coil", "x", "ky"), values.shape, values.dtype, part),
            "mask": ("ky", lines(20, 8), {"small": True}),
        }
    )
    preparation = preimage_preparation(Settings(), data)
    fitted = preparation.fit(data.isel(preparation.reads(data)))
    assert [index[2] for index in read] == [slice(6, 14, 1)]
    assert fitted["centre"].shape == (2, 3, 8)


def test_calibration_that_is_asked_for_is_taken():
    data = kspace_dataset({"coil": 2, "kz": 12, "ky": 20})
    settings = Settings(calibration={"ky": 6, "kz": 4})
    preparation = preimage_preparation(settings, data)
    assert preparation.reads(data) == {"kz": centred_slice(4, 12), "ky": centred_slice(6, 20)}
    assert preimage_rewrite(settings, data) == []
    assert estimated(settings, data).dims == ("coil", *in_image_space(("kz", "ky")))


def test_espirit_takes_a_slice_of_noise_for_empty():
    _, _, kspace = brain_like(3, x=9, z=12, y=15)
    hybrid = ReadoutIfft("kx").apply(xr.Dataset({"measurement": (("coil", "kx", "kz", "ky"), kspace)}), xr.Dataset())
    found = estimated(Settings(method="espirit", calibration={"kz": 12, "ky": 15}), hybrid).values
    filled = np.abs(found).sum((0, 2, 3)) > 0
    assert not filled[0]  # the ball has 0.8 of the field of view
    assert filled[2:7].all()


@pytest.mark.parametrize(
    ("settings", "dataset", "message"),
    [
        (Settings(), kspace_dataset({"kz": 4, "ky": 5}), "coil, kz, ky"),
        (Settings(), kspace_dataset({"coil": 2, "ky": 5}).map(np.real), "float32"),
        (Settings(), kspace_dataset({"coil": 2, "y": 5}), "coil, kz, ky"),
        (Settings(calibration={"kx": 4}), kspace_dataset({"coil": 2, "ky": 5}), "ky of length 5"),
        (Settings(calibration={"ky": 6}), kspace_dataset({"coil": 2, "ky": 5}), "ky of length 5"),
    ],
)
def test_data_that_it_is_not_for_are_refused(settings, dataset, message):
    with pytest.raises(DataError, match=message):
        preimage_preparation(settings, dataset)


def test_a_centre_that_is_not_sampled_is_refused():
    data = kspace_dataset({"coil": 2, "ky": 8})
    holes = np.ones(8, bool)
    holes[4] = False
    without_zero = data.assign(mask=("ky", holes, {"small": True}))
    with pytest.raises(DataError, match="the centre of k-space is not fully sampled"):
        preimage_preparation(Settings(), without_zero)
    holes[:] = True
    holes[6] = False
    with pytest.raises(DataError, match="calibration = {'ky': 6} is not fully sampled"):
        preimage_preparation(Settings(calibration={"ky": 6}), data.assign(mask=("ky", holes, {"small": True})))


def test_a_mask_that_may_not_be_looked_at_needs_a_calibration():
    data = kspace_dataset({"coil": 2, "ky": 8}).assign(mask=("ky", np.ones(8, bool)))
    with pytest.raises(DataError, match="mark the mask as small"):
        preimage_preparation(Settings(), data)
    assert estimated(Settings(calibration={"ky": 4}), data).sizes == {"coil": 2, "y": 8}


def test_settings_name_dims_of_kspace():
    with pytest.raises(ValueError, match="y is no dim of k-space"):
        coil_sensitivities.Settings(calibration={"y": 4})
