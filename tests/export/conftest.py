import numpy as np
import pytest
import xarray as xr

import preimage


@pytest.fixture
def store(tmp_path):
    """Stores an image as the variable `estimate` of a dataset, and returns its path."""

    def stored(values, dims, coords=None, chunks=None, **attributes):
        path = tmp_path / "in.zarr"
        dataset = xr.Dataset({"estimate": (dims, values)}, coords, attributes)
        preimage.write_dataset(dataset, path, chunks, overwrite=True)
        return path

    return stored


@pytest.fixture
def noise():
    """Complex noise, with every phase."""

    def made(*shape):
        random = np.random.default_rng(0)
        return (random.standard_normal(shape) + 1j * random.standard_normal(shape)).astype(np.complex64)

    return made
