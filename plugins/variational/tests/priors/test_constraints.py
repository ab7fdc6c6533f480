from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from pydantic import ValidationError
from scipy import optimize

from preimage.data import located
from preimage.errors import DataError, RequestError, SpaceError
from preimage.space import ProductSpace, Space
from preimage.testing import PriorLaws
from preimage.testing.agreement import largest_error
from preimage_variational.priors import non_negativity, real_valued, support
from preimage_variational.priors.non_negativity import NonNegativity
from preimage_variational.priors.real_valued import RealValued
from preimage_variational.priors.support import Settings, Support, preimage_axes, preimage_prior

IMAGE = Space(("y", "x"), (3, 4), torch.complex128)
EMPTY = xr.Dataset()


class TestNonNegativityLaws(PriorLaws):
    method = non_negativity


class TestRealValuedLaws(PriorLaws):
    method = real_valued


class TestSupportLaws(PriorLaws):
    method = support


def _nearest(x, directions, non_negative=False):
    """The nearest point to x of what non-negative or any real factors make of complex directions, by SciPy."""
    real = [np.concatenate([part.real, part.imag], -1) for part in (directions, x.numpy().ravel())]
    lowest = 0 if non_negative else -np.inf
    found = optimize.lsq_linear(real[0].T, real[1], (lowest, np.inf), method="bvls", tol=1e-14).x
    return (found @ directions).reshape(x.shape)


@pytest.mark.parametrize("name", ["non-negativity", "real-valued", "support"])
def test_the_prox_is_the_nearest_point_of_a_least_squares_problem(name, agreement):
    x = IMAGE.randn(torch.Generator().manual_seed(0))
    units = np.eye(12)
    match name:
        case "non-negativity":
            prior, expected = NonNegativity(), _nearest(x, units, non_negative=True)
        case "real-valued":
            prior, expected = RealValued(), _nearest(x, units)
        case "support":
            prior = preimage_prior(Settings(box={"y": (1, 3), "x": (0, 2)}), IMAGE, EMPTY)
            inside = units[[4, 5, 8, 9]]  # of rows of four, the first two pixels of the second and the third
            expected = _nearest(x, np.concatenate([inside, 1j * inside]))
    error = largest_error(prior.prox(x, 0.3), expected)
    agreement(
        f"prior.{name}", "SciPy's lsq_linear, for the nearest point", error, 1e-13, "rounding, at a condition of 1"
    )


def test_what_is_negative_becomes_zero_and_what_is_imaginary_as_well():
    assert NonNegativity().prox(torch.tensor([-1.0, 0.0, 2.0]), 1.0).tolist() == [0, 0, 2]
    assert NonNegativity().prox(torch.tensor([-1 + 1j, 2 - 3j]), 1.0).tolist() == [0, 2]
    assert RealValued().prox(torch.tensor([-1 + 1j, 2 - 3j]), 1.0).tolist() == [-1, 2]
    assert RealValued().prox(torch.tensor([-1.0, 2.0]), 1.0).tolist() == [-1, 2]


@pytest.mark.parametrize("method", [non_negativity, real_valued, support])
def test_they_are_on_one_unknown(method):
    settings = method.Settings(**({"box": {"x": (0, 1)}} if method is support else {}))
    arguments = {"dataset": EMPTY} if method is support else {}
    with pytest.raises(RequestError, match=r"say with `on` which of image, field it is for"):
        method.preimage_prior(settings, ProductSpace(image=IMAGE, field=IMAGE), **arguments)


def test_a_box_is_inside_along_the_dims_that_it_does_not_name():
    prior = preimage_prior(Settings(box={"x": (1, 3)}), IMAGE, EMPTY)
    found = prior.prox(torch.ones(2, 3, 4, dtype=torch.complex128), 1.0)
    assert found.real.tolist() == [[[0, 1, 1, 0]] * 3] * 2


def test_the_support_of_the_dataset_is_cut_with_it():
    values = np.arange(12).reshape(4, 3) % 2 == 0
    dataset = xr.Dataset({"support": (("x", "y"), values)})
    whole = preimage_prior(Settings(), IMAGE, dataset)
    assert np.array_equal(whole.inside.numpy(), values.T)
    block = located(dataset, {"y": slice(1, 3)})
    part = preimage_prior(Settings(), Space(("y", "x"), (2, 4), torch.complex128), block)
    assert torch.equal(part.inside, whole.inside[1:3])
    assert {repr(axis) for axis in preimage_axes(Settings(), IMAGE).values()} == {"split"}
    assert repr(preimage_axes(Settings(box={"x": (0, 2)}), IMAGE)["x"]) == "whole"


def test_a_support_over_some_dims_holds_along_the_others():
    dataset = xr.Dataset({"support": (("x",), np.array([0, 1, 1, 0]))})
    prior = preimage_prior(Settings(), IMAGE, dataset)
    assert prior.prox(torch.ones(3, 4), 1.0).tolist() == [[0, 1, 1, 0]] * 3


def test_what_lies_outside_may_be_no_number():
    prior = Support(torch.tensor([True, False]), Space(("x",), (2,), torch.float64))
    x = torch.tensor([1.0, float("nan")], dtype=torch.float64)
    assert prior.prox(x, 1.0).tolist() == [1, 0]
    assert prior.prox_(x, 1.0).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("settings", "variable", "says"),
    [
        ({}, None, "needs a variable 'support' in the dataset, or its setting box"),
        ({"box": {"x": (0, 2)}}, (("x",), np.ones(4, bool)), "leave out one of them"),
        ({}, (("coil",), np.ones(4, bool)), "over dims of the image, y, x: it has 'coil'"),
        ({}, (("x",), np.array([0, 0.5, 1, 1])), "of True and False"),
        ({}, (("x",), np.ones(5, bool)), "its length or 1"),
        ({"box": {"x": (2, 5)}}, None, r"box.x = \[2, 5\] is no part of the 4 pixels"),
        ({"box": {"x": (2, 2)}}, None, "is no part of the 4 pixels"),
        ({"box": {"t": (0, 1)}}, None, "there is no dim 't'"),
    ],
)
def test_a_strange_support_is_refused(settings, variable, says):
    dataset = EMPTY if variable is None else xr.Dataset({"support": variable})
    with pytest.raises((DataError, RequestError, SpaceError), match=says):
        preimage_prior(Settings(**settings), IMAGE, dataset)


@pytest.mark.parametrize("box", [{}, {"x": (-1, 2)}, {"x": 3}])
def test_wrong_settings_are_refused(box):
    with pytest.raises(ValidationError):
        Settings(box=box)
