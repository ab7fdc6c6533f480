"""Loaders: only what is asked for is read, and files that cannot be right are refused with a cure."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
import xarray as xr
import zarr

from preimage.errors import DataError
from preimage.testing.agreement import largest_error
from preimage.volumes.stores import write_dataset
from preimage_mri import nifti, npy, zarr_dataset
from preimage_mri.examples import complex_noise, kspace_dataset

DIMS = ("coil", "kz", "ky")


@pytest.fixture
def kspace() -> np.ndarray:
    return complex_noise(np.random.default_rng(0), (2, 5, 4))


def described(module, **settings) -> xr.Dataset:
    return module.preimage_loader(module.Settings(**settings)).describe()


class TestNpy:
    def test_any_byte_order_and_memory_order_is_read(self, tmp_path, kspace, agreement):
        np.save(tmp_path / "a.npy", np.asfortranarray(kspace.astype(">c8")))
        found = described(npy, path=tmp_path / "a.npy", dims=DIMS)["measurement"]
        error = largest_error(found.isel(coil=1, ky=slice(1, 3)), kspace[1, :, 1:3])
        agreement("loader.npy", "what NumPy saved", error, 0, "the same numbers")

    def test_of_a_file_only_the_region_is_read(self, tmp_path, kspace, monkeypatch):
        np.save(tmp_path / "a.npy", kspace)
        mapped = []
        original = np.memmap.__getitem__
        monkeypatch.setattr(np.memmap, "__getitem__", lambda self, index: mapped.append(index) or original(self, index))
        data = described(npy, path=tmp_path / "a.npy", dims=DIMS)
        assert mapped == []
        data["measurement"].isel(coil=1).load()
        assert mapped == [(1, slice(None), slice(None))]

    def test_coil_images_are_transformed_once(self, tmp_path, monkeypatch, agreement):
        images = complex_noise(np.random.default_rng(0), (5, 6, 3))
        np.save(tmp_path / "a.npy", images)
        calls = []
        original = npy.centred_fft
        monkeypatch.setattr(npy, "centred_fft", lambda *arguments: calls.append(1) or original(*arguments))
        data = described(npy, path=tmp_path / "a.npy", dims=("z", "y", "coil"), domain="coil-images")
        assert calls == []
        expected = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, axes=(0, 1)), axes=(0, 1)), axes=(0, 1))
        for coil in range(3):
            found = data["measurement"].isel(coil=coil).values
            error = largest_error(found, expected[..., coil] / 30**0.5)
            agreement("loader.npy", "NumPy's FFT of coil images", error, 1e-5, "single precision: some 80 ε")
        assert calls == [1]
        np.testing.assert_allclose(data["truth"][2], np.linalg.norm(images[2], axis=-1), rtol=1e-6)
        assert data["truth"].dtype == np.float32

    def test_images_of_one_coil_have_their_magnitude_as_truth(self, tmp_path):
        image = complex_noise(np.random.default_rng(0), (4, 4))
        np.save(tmp_path / "a.npy", image)
        data = described(npy, path=tmp_path / "a.npy", dims=("x", "y"), domain="coil-images")
        assert data["measurement"].dims == ("kx", "ky")
        np.testing.assert_allclose(data["truth"], np.abs(image), rtol=1e-6)

    def test_an_object_array_is_never_unpickled(self, tmp_path):
        bomb = np.array([Bomb()], object)
        np.save(tmp_path / "a.npy", bomb, allow_pickle=True)
        np.savez(tmp_path / "a.npz", bomb, allow_pickle=True)
        for name in ("a.npy", "a.npz"):
            with pytest.raises(DataError):
                described(npy, path=tmp_path / name, dims=("ky",))
        assert not Bomb.exploded

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"dims": ("coil", "ky")}, "name 3 different"),
            ({"dims": ("ky", "ky", "kz")}, "name 3 different"),
            ({"dims": DIMS, "member": "a"}, "no NPZ archive"),
            ({"dims": DIMS, "domain": "coil-images"}, "some of the dims x, y, z"),
        ],
    )
    def test_settings_that_do_not_fit_are_refused(self, tmp_path, kspace, settings, message):
        np.save(tmp_path / "a.npy", kspace)
        with pytest.raises(DataError, match=message):
            described(npy, path=tmp_path / "a.npy", **settings)

    @pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00\x10\x00{'shape': broken}"])
    def test_a_file_that_is_no_array_is_refused(self, tmp_path, content):
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            described(npy, path=tmp_path / "a.npy", dims=DIMS)

    def test_a_file_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(DataError, match=r"nowhere\.npy"):
            described(npy, path=tmp_path / "nowhere.npy", dims=DIMS)

    def test_a_file_that_was_cut_off_is_refused(self, tmp_path, kspace):
        np.save(tmp_path / "a.npy", kspace)
        whole = (tmp_path / "a.npy").read_bytes()
        (tmp_path / "a.npy").write_bytes(whole[:-8])
        with pytest.raises(DataError, match="cannot be read"):
            described(npy, path=tmp_path / "a.npy", dims=DIMS)

    def test_real_numbers_are_refused(self, tmp_path, kspace):
        np.save(tmp_path / "a.npy", kspace.real)
        with pytest.raises(DataError, match="float32: data of MRI are complex"):
            described(npy, path=tmp_path / "a.npy", dims=DIMS)

    def test_members_of_an_archive_are_named(self, tmp_path, kspace):
        np.savez(tmp_path / "a.npz", one=kspace, two=kspace)
        with pytest.raises(DataError, match="several arrays; set member to one of one, two"):
            described(npy, path=tmp_path / "a.npz", dims=DIMS)
        with pytest.raises(DataError, match="no member 'three'"):
            described(npy, path=tmp_path / "a.npz", dims=DIMS, member="three")

    def test_an_archive_that_promises_too_much_is_refused_before_anything_is_allocated(self, tmp_path):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<c8", "fortran_order": False, "shape": (2**40,)})
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("arr_0.npy", header.getvalue())
        with pytest.raises(DataError, match="is damaged"):
            described(npy, path=tmp_path / "a.npz", dims=("ky",))
        np.savez_compressed(tmp_path / "zeros.npz", np.zeros(2**17, np.complex64))
        with pytest.raises(DataError, match=r"1\.0MiB, more than max_bytes = 1000\.0KiB"):
            described(npy, path=tmp_path / "zeros.npz", dims=("ky",), max_bytes=1000 * 1024)

    def test_a_damaged_member_is_found_when_it_is_read(self, tmp_path):
        kspace = complex_noise(np.random.default_rng(0), (8, 32, 32))
        np.savez(tmp_path / "a.npz", kspace)
        content = bytearray((tmp_path / "a.npz").read_bytes())
        content[content.index(kspace.tobytes()[:16])] ^= 1
        (tmp_path / "a.npz").write_bytes(content)
        data = described(npy, path=tmp_path / "a.npz", dims=DIMS)
        with pytest.raises(DataError, match="cannot be read"):
            data.load()


class Bomb:
    exploded = False

    def __reduce__(self):
        return (setattr, (Bomb, "exploded", True))


class TestZarr:
    def test_blocks_are_read_alone(self, tmp_path):
        data = kspace_dataset({"coil": 2, "x": 6, "ky": 4})
        write_dataset(data, tmp_path / "a.zarr", chunks={"x": 2})
        for chunk in (tmp_path / "a.zarr/measurement/c/0/0/0", tmp_path / "a.zarr/measurement/c/0/2/0"):
            chunk.write_bytes(b"damaged")
        found = described(zarr_dataset, path=tmp_path / "a.zarr")["measurement"]
        np.testing.assert_array_equal(found.isel(x=slice(2, 4)), data["measurement"].isel(x=slice(2, 4)))

    def test_attributes_of_the_platform_stay_out(self, tmp_path):
        write_dataset(kspace_dataset({"ky": 4}).assign_attrs(voxel_size={"y": 1.5}), tmp_path / "a.zarr")
        assert described(zarr_dataset, path=tmp_path / "a.zarr").attrs == {"voxel_size": {"y": 1.5}}

    def test_what_xarray_wrote_is_read(self, tmp_path, agreement):
        data = kspace_dataset({"coil": 2, "ky": 4}, ["ky"])
        data.to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
        found = described(zarr_dataset, path=tmp_path / "a.zarr")
        xr.testing.assert_identical(found.load(), data)
        error = largest_error(found["measurement"], data["measurement"])
        agreement("loader.zarr", "what xarray wrote", error, 0, "the same numbers")

    def test_what_is_no_dataset_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="is not there"):
            described(zarr_dataset, path=tmp_path / "nowhere.zarr")
        (tmp_path / "empty.zarr").mkdir()
        with pytest.raises(DataError, match="no Zarr group"):
            described(zarr_dataset, path=tmp_path / "empty.zarr")
        zarr.create_group(tmp_path / "unnamed.zarr").create_array("measurement", shape=(2,), dtype="c8")
        with pytest.raises(DataError, match="no Zarr group of arrays with named dims"):
            described(zarr_dataset, path=tmp_path / "unnamed.zarr")
        write_dataset(xr.Dataset({"estimate": ("x", np.zeros(2))}), tmp_path / "run.zarr")
        with pytest.raises(DataError, match="neither a 'measurement' nor a 'truth': it has estimate"):
            described(zarr_dataset, path=tmp_path / "run.zarr")

    def test_a_newer_schema_is_refused(self, tmp_path):
        write_dataset(kspace_dataset({"ky": 4}), tmp_path / "a.zarr")
        zarr.open_group(tmp_path / "a.zarr").attrs["preimage"] = {"schema": 99}
        with pytest.raises(DataError, match="schema 99"):
            described(zarr_dataset, path=tmp_path / "a.zarr")


class TestNifti:
    @staticmethod
    def save(path: Path, *shape: int, dtype=np.float32) -> np.ndarray:
        values = np.random.default_rng(0).standard_normal(shape).astype(dtype)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
        return values

    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
    def test_a_part_is_that_of_the_whole(self, tmp_path, name):
        values = self.save(tmp_path / name, 5, 4, 3)
        found = described(nifti, path=tmp_path / name, order=("z", "x", "y"))["truth"]
        np.testing.assert_array_equal(found.isel(z=1, y=slice(1, 3)), values[:, 1:3, 1])
        np.testing.assert_array_equal(found.isel(x=slice(4, None, -2)), values[::-2].transpose(2, 0, 1))

    def test_of_a_plain_file_only_a_part_is_read(self, tmp_path):
        values = self.save(tmp_path / "a.nii", 8, 8, 64)
        whole = (tmp_path / "a.nii").stat().st_size
        data = described(nifti, path=tmp_path / "a.nii")
        with (tmp_path / "a.nii").open("r+b") as file:
            file.truncate(whole // 2)
        np.testing.assert_array_equal(data["truth"].isel(z=3), values[:, :, 3])

    def test_complex_images_stay_complex(self, tmp_path):
        values = (np.ones((2, 2, 2)) * 1j).astype(np.complex64)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii")
        np.testing.assert_array_equal(described(nifti, path=tmp_path / "a.nii")["truth"], values)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({}, "name 4 axes, or choose a volume"),
            ({"volume": 2}, "no volume 2"),
            ({"volume": 0, "dims": ("x", "y")}, "name 3 axes"),
            ({"volume": 0, "order": ("x", "y")}, "each once"),
            ({"volume": 0, "max_bytes": 100}, "more than max_bytes"),
        ],
    )
    def test_settings_that_do_not_fit_are_refused(self, tmp_path, settings, message):
        self.save(tmp_path / "a.nii.gz", 5, 4, 3, 2)
        if "max_bytes" in settings:
            nibabel.save(nibabel.Nifti1Image(np.zeros((50, 40, 30, 2), np.float32), np.eye(4)), tmp_path / "a.nii.gz")
        with pytest.raises(DataError, match=message):
            described(nifti, path=tmp_path / "a.nii.gz", **settings)

    def test_colours_and_other_files_are_refused(self, tmp_path):
        colours = np.zeros((2, 2, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
        nibabel.save(nibabel.Nifti1Image(colours, np.eye(4)), tmp_path / "a.nii")
        with pytest.raises(DataError, match="one number a voxel"):
            described(nifti, path=tmp_path / "a.nii")
        (tmp_path / "b.nii").write_bytes(b"no image")
        for name in ("b.nii", "nowhere.nii"):
            with pytest.raises(DataError, match="cannot be read as a NIfTI image"):
                described(nifti, path=tmp_path / name)
