"""The part of an image that is in a region."""

import pytest
import torch
from support.dense import generator

from preimage.errors import SpaceError
from preimage.operators.restriction import Crop
from preimage.space import Space
from preimage.testing.checking import check_operator

SPACES = [
    Space(("z", "y", "x"), (5, 1, 4), torch.complex128),
    Space(("z", "y", "x"), (4, 3, 2), torch.float64),
]
REGIONS = [{}, {"z": slice(1, 3)}, {"z": slice(3, None), "x": slice(0, 1)}, {"x": slice(-1, None), "y": slice(0, 9)}]
MUST_HOLD = {
    "linearity",
    "adjoint",
    "normal",
    "add_normal",
    "norm",
    "derivative",
    "autograd",
    "purity",
    "batched",
    "meta",
}


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("space", SPACES, ids=["complex", "real"])
def test_it_obeys_the_laws_of_operators(space, region):
    found = check_operator(Crop(space, region))
    assert [str(outcome) for outcome in found if outcome.problem] == []
    assert {outcome.law for outcome in found if outcome.holds} >= MUST_HOLD


@pytest.mark.parametrize("region", REGIONS)
def test_it_is_slicing_and_its_adjoint_fills_up_with_zeros(region):
    space = SPACES[0]
    crop, x = Crop(space, region), space.randn(generator(0), (2,))
    index = (slice(None), *(region.get(dim, slice(None)) for dim in space.dims))
    assert torch.equal(crop(x), x[index])
    assert crop(x).shape[1:] == crop.codomain.shape
    only = torch.zeros_like(x)
    only[index] = x[index]
    assert torch.equal(crop.normal(x), only)
    assert torch.equal(crop.adjoint(crop(x)), only)
    assert (crop.norm().value, crop.norm().kind) == (1.0, "exact")


@pytest.mark.parametrize("region", [{"q": slice(0, 1)}, {"z": slice(5, 7)}, {"z": slice(3, 3)}])
def test_a_region_with_nothing_in_it_is_refused(region):
    with pytest.raises(SpaceError, match=f"has nothing at {next(iter(region))} = slice"):
        Crop(SPACES[0], region)
