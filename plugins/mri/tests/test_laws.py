"""The laws that every method of the pack obeys."""

from __future__ import annotations

import preimage_mri.cartesian_mri
import preimage_mri.coil_sensitivities
import preimage_mri.nifti
import preimage_mri.npy
import preimage_mri.readout_ifft
import preimage_mri.sampling_mask
import preimage_mri.simulate_coils
import preimage_mri.zarr_dataset
from preimage.testing import LoaderLaws, OperatorLaws, PreparationLaws


class TestCartesianMri(OperatorLaws):
    method = preimage_mri.cartesian_mri


class TestNifti(LoaderLaws):
    method = preimage_mri.nifti


class TestNpy(LoaderLaws):
    method = preimage_mri.npy


class TestZarr(LoaderLaws):
    method = preimage_mri.zarr_dataset


class TestReadoutIfft(PreparationLaws):
    method = preimage_mri.readout_ifft


class TestSamplingMask(PreparationLaws):
    method = preimage_mri.sampling_mask


class TestSimulateCoils(PreparationLaws):
    method = preimage_mri.simulate_coils


class TestCoilSensitivities(PreparationLaws):
    method = preimage_mri.coil_sensitivities
