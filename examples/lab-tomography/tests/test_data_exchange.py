"""Data Exchange files: what is read, and what is refused."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from preimage.errors import DataError
from preimage.testing import LoaderLaws

import lab_tomography.data_exchange as data_exchange
from lab_tomography.data_exchange import DARK, DATA, THETA, WHITE, DataExchange, Settings


class TestLaws(LoaderLaws):
    method = data_exchange


def written(path, **changes):
    """A sound file, some of whose arrays are replaced or, where None, left out."""
    arrays = {
        DATA: np.arange(4 * 2 * 3, dtype=np.uint16).reshape(4, 2, 3),
        WHITE: np.full((2, 2, 3), 900, np.uint16),
        DARK: np.ones((1, 2, 3), np.uint16),
        THETA: np.array([0.0, 45, 90, 135]),
    }
    arrays |= {f"exchange/{name}": values for name, values in changes.items()}
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            if callable(values):
                values(file, name)
            elif values is not None:
                file[name] = values
    return path


def described(path, **settings):
    return DataExchange(Settings(path=path, **settings)).describe()


def test_projections_are_read_with_their_angles_and_fields(tmp_path):
    dataset = described(written(tmp_path / "scan.h5"), every=3)
    assert dict(dataset.sizes) == {"angle": 2, "z": 2, "detector": 3, "white_frame": 2, "dark_frame": 1}
    np.testing.assert_array_equal(dataset["measurement"].values, np.arange(24).reshape(4, 2, 3)[::3])
    np.testing.assert_array_equal(dataset["angle"].values, [0, 135])
    assert dataset["angle"].attrs["units"] == "deg"  # what the format means where it does not say
    without = described(written(tmp_path / "scan.h5", data_white=None, data_dark=None))
    assert set(without.data_vars) == {"measurement"}


def elsewhere(folder):
    """Another file, with values that must not be seen."""
    return written(folder / "secret.h5")


def external(file, name):
    file[name] = h5py.ExternalLink("secret.h5", DATA)


def external_group(file, name):
    file["other"] = h5py.ExternalLink("secret.h5", "exchange")
    file[name] = h5py.SoftLink("/other/data")


def virtual(file, name):
    layout = h5py.VirtualLayout((4, 2, 3), np.uint16)
    layout[:] = h5py.VirtualSource("secret.h5", DATA, (4, 2, 3))
    file.create_virtual_dataset(name, layout)


def raw(file, name):
    file.create_dataset(name, (4, 2, 3), np.uint16, external=[("/etc/hostname", 0, 48)])


def huge(file, name):
    file.create_dataset(name, (4, 10**6, 10**6), np.uint16, chunks=(1, 64, 64))


def text(file, name):
    file[name] = np.full((4, 2, 3), "x", h5py.string_dtype())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (external, "exchange/data is a link to elsewhere, which is not followed"),
        (external_group, "exchange/data is a link to elsewhere, which is not followed"),
        (virtual, "the values of exchange/data are in other files, which are not opened"),
        (raw, "the values of exchange/data are in other files, which are not opened"),
        (huge, "exchange/data has 7.3TiB, more than max_bytes = 64.0GiB"),
        (text, "exchange/data holds object, not numbers"),
        (lambda file, name: file.create_group(name), "exchange/data is no array"),
        (np.zeros((4, 3)), r"exchange/data has the shape \(4, 3\): projections × rows × columns"),
        (np.zeros((0, 2, 3)), r"exchange/data has the shape \(0, 2, 3\)"),
        (np.zeros((5, 2, 3)), r"exchange/theta has the shape \(4,\), and there are 5 projections"),
        (np.zeros((4, 2, 9)), r"exchange/data_white has the shape \(2, 2, 3\), and exchange/data \(4, 2, 9\)"),
        (None, "has no exchange/data: it is no Data Exchange file"),
    ],
)
def test_what_is_unsafe_or_does_not_fit_is_refused(tmp_path, values, message):
    elsewhere(tmp_path)
    with pytest.raises(DataError, match=message):
        described(written(tmp_path / "scan.h5", data=values))


def test_a_link_that_is_put_there_later_is_not_followed_either(tmp_path):
    elsewhere(tmp_path)
    path = written(tmp_path / "scan.h5")
    dataset = described(path)
    with h5py.File(path, "a") as file:
        del file[DATA]
        external(file, DATA)
    with pytest.raises(DataError, match="a link to elsewhere"):
        dataset["measurement"].load()


def test_a_file_that_is_missing_or_no_hdf5_or_cut_short_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.h5 cannot be read as HDF5"):
        described(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("angles")
    with pytest.raises(DataError, match=r"text\.h5 cannot be read as HDF5"):
        described(tmp_path / "text.h5")
    path = written(tmp_path / "scan.h5")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"scan\.h5 cannot be read as HDF5"):
        described(path)


def test_a_unit_that_is_not_known_is_refused(tmp_path):
    path = written(tmp_path / "scan.h5")
    with h5py.File(path, "a") as file:
        file[THETA].attrs["units"] = "turns"
    with pytest.raises(DataError, match="exchange/theta has the unit 'turns'"):
        described(path)


def test_a_real_scan():
    if "PREIMAGE_DATA" not in os.environ:
        pytest.skip("PREIMAGE_DATA is not set: it names the folder of the real measurements")
    dataset = described(Path(os.environ["PREIMAGE_DATA"]) / "ct_tooth_sinogram" / "tooth.h5", every=4)
    assert dict(dataset["measurement"].sizes) == {"angle": 46, "z": 2, "detector": 640}
    assert dataset["angle"].attrs == {"units": "degrees"}
