from __future__ import annotations

import cvxpy
import pytest
import torch

from preimage.errors import RequestError
from preimage.space import Space
from preimage.testing import PriorLaws
from preimage.testing.agreement import largest_error
from preimage_variational.priors import simplex
from preimage_variational.priors.simplex import Settings, Simplex, preimage_prior


class TestLaws(PriorLaws):
    method = simplex


def draw(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("total", [0.3, 1.0, 4.0])
def test_it_is_the_nearest_point_of_a_quadratic_program(scale, total, agreement):
    x = scale * draw(3, 5)
    found = Simplex(Space(("y", "x"), (3, 5), torch.float64), ("y", "x"), total).prox(x, 1.0)
    z = cvxpy.Variable((3, 5))
    cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(z - x.numpy())), [z >= 0, cvxpy.sum(z) == total]).solve(
        solver=cvxpy.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12
    )
    agreement(
        "prior.simplex",
        "cvxpy's quadratic program",
        largest_error(found, z.value),
        1e-6 * max(1, scale),
        "a gap of 1e-12 of a squared distance leaves 1e-6 of a distance",
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_conditions_of_the_nearest_point_hold_for_every_image_of_its_own(dtype):
    """z = (x − θ)₊ with one θ for each sum: x − z is θ where z > 0, and no more where z = 0 (Karush, Kuhn, Tucker)."""
    x = draw(2, 4, 3, 5, dtype=dtype)
    z = Simplex(Space(("y", "c", "x"), (4, 3, 5), dtype), ("y", "x"), 2.0).prox(x, 0.7)
    rounding = 20 * torch.finfo(dtype).eps
    assert bool((z >= 0).all())
    torch.testing.assert_close(z.sum((-3, -1)), torch.full((2, 3), 2.0, dtype=dtype), rtol=rounding, atol=0)
    for b in range(2):
        for c in range(3):
            moved, stays = (x - z)[b, :, c], z[b, :, c] > 0
            assert 0 < int(stays.sum()) < 20
            threshold = moved[stays].mean()
            torch.testing.assert_close(moved[stays], threshold.expand(int(stays.sum())), rtol=0, atol=rounding)
            assert float((moved[~stays] - threshold).max()) < rounding


def test_a_point_of_it_stays_and_what_is_far_away_becomes_a_corner():
    space = Space(("x",), (4,), torch.float64)
    inside = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    torch.testing.assert_close(Simplex(space, ("x",)).prox(inside, 1.0), inside, rtol=0, atol=1e-15)
    corner = Simplex(space, ("x",)).prox(torch.tensor([9.0, -1, 2, 7], dtype=torch.float64), 1.0)
    assert corner.tolist() == [1, 0, 0, 0]


def test_the_imaginary_part_is_dropped():
    space = Space(("x",), (5,), torch.complex128)
    x = draw(5, dtype=torch.complex128)
    z = Simplex(space, ("x",)).prox(x, 1.0)
    assert not z.imag.any()
    assert torch.equal(z.real, Simplex(space, ("x",)).prox(x.real, 1.0))


def test_a_dim_that_is_not_there_is_named():
    with pytest.raises(RequestError, match="simplex: there is no dim 'q' in the image; it has y, x"):
        preimage_prior(Settings(dims=("q",)), Space(("y", "x"), (3, 3)))
