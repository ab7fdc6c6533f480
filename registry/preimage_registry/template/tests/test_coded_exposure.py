"""The operator: the laws of its kind, and a comparison with what it should be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from preimage.errors import DataError
from preimage.testing import OperatorLaws

import lab_example.coded_exposure as coded_exposure
from lab_example.coded_exposure import Settings
from lab_example.video import moving_disc


class TestLaws(OperatorLaws):
    """One test for each law, on the examples of the module: the adjoint, the norm, blocks, batches, devices, ..."""

    method = coded_exposure


def test_it_adds_up_the_coded_frames() -> None:
    """An independent oracle: numpy's own sum."""
    dataset = moving_disc(n_frames=3, n_rows=5, n_columns=4)
    truth, code = (dataset[name].values for name in ("truth", "code"))
    operator = coded_exposure.preimage_operator(Settings(gain=2.0), dataset)
    found = operator(torch.from_numpy(truth))
    np.testing.assert_allclose(found, 2 * np.einsum("tyx,tyx->yx", code, truth), rtol=1e-6)  # rounding of float32


def test_a_code_that_is_no_floating_number_is_refused() -> None:
    """One clear error, which says what to do."""
    with pytest.raises(DataError, match="it is int64; convert it"):
        coded_exposure.preimage_spaces(xr.Dataset({"code": (("time", "x"), np.ones((2, 3), np.int64))}))
