from __future__ import annotations

import pytest
import torch

from preimage.errors import SpaceError
from preimage.space import Space
from preimage.testing.agreement import largest_error
from preimage_optics import GaussianMap
from preimage_optics.maps.drawn import gaussian_matrix

OBJECT = Space(("x", "time", "y"), (3, 2, 4), torch.complex128)


@pytest.mark.parametrize("domain", [OBJECT, Space(OBJECT.dims, OBJECT.shape, torch.float64)], ids=["complex", "real"])
@pytest.mark.parametrize("dims", [("x", "y"), ("y",), ("x", "time", "y")], ids=str)
def test_the_laws_of_operators_hold(domain, dims, obeys_the_laws):
    n_pixels = torch.Size([domain.sizes[dim] for dim in dims]).numel()
    obeys_the_laws(GaussianMap(domain, dims, gaussian_matrix(5, n_pixels, seed=0)))


def test_it_projects_every_index_of_the_other_dims(agreement):
    matrix = gaussian_matrix(5, 12, seed=0)
    a = GaussianMap(OBJECT, ("x", "y"), matrix)
    assert a.codomain == Space(("time", "sample"), (2, 5), torch.complex128)
    x = OBJECT.randn(torch.Generator().manual_seed(0), batch=(3,))
    expected = torch.einsum("sxy,bxty->bts", matrix.reshape(5, 3, 4), x)
    error = largest_error(a(x), expected)
    agreement(
        "operator.phase-retrieval", "torch's einsum, of a Gaussian matrix", error, 1e-14, "sums of twelve products"
    )


def test_a_matrix_that_does_not_fit_is_refused():
    with pytest.raises(SpaceError, match=r"complex and has 12 columns: .* shape \(5, 11\)"):
        GaussianMap(OBJECT, ("x", "y"), gaussian_matrix(5, 11, seed=0))
    with pytest.raises(SpaceError, match="float64"):
        GaussianMap(OBJECT, ("x", "y"), gaussian_matrix(5, 12, seed=0).real)
