from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import preimage_imaging.identity as identity
from preimage.errors import DataError
from preimage.operators import Identity
from preimage.space import Space
from preimage.testing import OperatorLaws
from preimage.testing.agreement import largest_error


class TestLaws(OperatorLaws):
    method = identity


def test_the_measurement_goes_before_the_truth():
    dataset = xr.Dataset(
        {"truth": (("y", "x"), np.zeros((4, 5), np.float32)), "measurement": (("x",), np.zeros(5, ">c16"))}
    )
    operator = identity.preimage_operator(identity.Settings(), dataset)
    assert isinstance(operator, Identity)
    assert operator.domain == operator.codomain == Space(("x",), (5,), torch.complex128)
    alone = identity.preimage_spaces(identity.Settings(), dataset.drop_vars("measurement"))
    assert alone[0] == Space(("y", "x"), (4, 5), torch.float32)


def test_it_is_the_dense_identity_and_so_are_its_inverses(dense, agreement):
    operator = identity.preimage_operator(identity.Settings(), xr.Dataset({"truth": (("y", "x"), np.zeros((3, 2)))}))
    eye = np.eye(6)
    parts = (operator, 1), (operator.adjoint, 1), (operator.pinv, 1), (lambda x: operator.solve_normal(x, 0.25), 0.8)
    for function, scale in parts:
        error = largest_error(dense(function, operator.domain), scale * eye)
        agreement("operator.identity", "NumPy's identity matrix", error, 2e-16, "one quotient, rounded once")


def test_a_dataset_without_an_image_or_with_integers_is_refused():
    with pytest.raises(DataError, match=r"needs a 'measurement', or a 'truth'.*the dataset has mask"):
        identity.preimage_spaces(identity.Settings(), xr.Dataset({"mask": ("x", [True])}))
    with pytest.raises(DataError, match="it is int16; convert it"):
        identity.preimage_spaces(identity.Settings(), xr.Dataset({"truth": ("x", np.zeros(3, np.int16))}))
