from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from preimage.errors import SpaceError
from preimage.space import Space
from preimage.testing import check_operator
from preimage.testing.agreement import largest_error
from preimage_variational.transforms import differences
from preimage_variational.transforms.differences import ALONG, Differences

DIMS = ("z", "y", "x")


def _differences(shape, dims=None, *, dtype=torch.complex128, **spacing):
    space = Space(DIMS[-len(shape) :], shape, dtype)
    return Differences(space, dims or space.dims, spacing)


def _random(space, seed=0, batch=()):
    return space.randn(torch.Generator().manual_seed(seed), batch)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize(
    ("shape", "dims"), [((4, 5, 6), DIMS), ((4, 5, 6), ("x", "z")), ((3, 7), ("y",)), ((5,), ("x",))]
)
def test_they_are_those_of_numpy_and_zero_at_the_end(shape, dims, dtype, agreement):
    operator = _differences(shape, dims, dtype=dtype, x=0.5)
    x = _random(operator.domain, batch=(2,))
    found = operator(x)
    assert operator.codomain.dims == (ALONG, *operator.domain.dims)
    for number, dim in enumerate(dims):
        axis = operator.domain.axis(dim)
        last = np.take(x.numpy(), [-1], axis)
        expected = np.diff(x.numpy(), axis=axis, append=last) / (0.5 if dim == "x" else 1)
        error = largest_error(found.select(-len(shape) - 1, number), expected)
        agreement("prior.total-variation", "NumPy's diff, for the differences", error, 1e-14, "a difference, rounded")


@pytest.mark.parametrize("shape", [(6, 1, 5), (1, 1, 1), (9, 7), (2,)])
@pytest.mark.parametrize("spacing", [{}, {"x": 2.5}])
def test_they_obey_the_laws_of_operators(shape, spacing):
    for outcome in check_operator(_differences(shape, **spacing)):
        assert outcome.problem is None, str(outcome)


@pytest.mark.parametrize(
    ("shape", "dims"), [((5, 4, 3), DIMS), ((5, 4, 3), ("z", "x")), ((1, 6), ("y", "x")), ((1,), ("x",))]
)
def test_the_norm_is_that_of_the_dense_matrix(shape, dims, agreement):
    operator = _differences(shape, dims, dtype=torch.float64, z=3.0)
    n = math.prod(shape)
    matrix = operator(torch.eye(n, dtype=torch.float64).reshape(n, *shape)).reshape(n, -1)
    assert operator.norm().kind == "exact"
    norm = float(torch.linalg.matrix_norm(matrix, 2))
    error, reason = abs(operator.norm().value - norm), "a closed form and an SVD in double precision"
    agreement("prior.total-variation", "torch's norm of dense differences", error, max(1e-13 * norm, 1e-15), reason)


def test_the_norm_of_a_large_volume_is_below_the_usual_bound():
    assert _differences((512, 512, 512)).norm().value ** 2 == pytest.approx(12, rel=1e-5)
    assert _differences((512, 512, 512)).norm().value ** 2 < 12


@pytest.mark.parametrize("dims", [DIMS, ("y", "x"), ("z",), ("x",)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_slabs_do_not_change_them(dims, dtype, monkeypatch):
    operator = _differences((9, 12, 10), dims, dtype=dtype)
    x, y = _random(operator.domain, batch=(2,)), _random(operator.codomain, 1, batch=(2,))
    whole = operator(x), operator.adjoint(y), operator.normal(x)
    monkeypatch.setattr(differences, "PIECE", 512)
    image = torch.view_as_real(x) if x.is_complex() else x.unsqueeze(-1)
    assert len(differences._slabs(image)[1]) > 5
    for found, expected in zip((operator(x), operator.adjoint(y), operator.normal(x)), whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)  # sums in another order


def test_what_is_added_in_place_is_what_the_operator_gives():
    operator = _differences((4, 5, 6), ("z", "x"), x=2.0)
    x, y = _random(operator.domain, batch=(3,)), _random(operator.codomain, 1, batch=(3,))
    close = {"rtol": 0, "atol": 1e-14}
    with torch.no_grad():
        torch.testing.assert_close(operator.add_applied_(y.clone(), x, -0.3), y - 0.3 * operator(x), **close)
        torch.testing.assert_close(operator.add_adjoint_(x.clone(), y, 0.7), x + 0.7 * operator.adjoint(y), **close)
        other = x.clone()
        assert operator.add_applied_(y, x, 1.0) is y
        assert operator.add_adjoint_(other, y, 1.0) is other


@pytest.mark.parametrize("batch", [(), (2,), (40,)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_every_piece_is_finished_once_with_all_differences_of_its_pixels(batch, dtype, monkeypatch):
    monkeypatch.setattr(differences, "PIECE", 512)
    operator = _differences((5, 6, 4), ("z", "x"), dtype=dtype)
    x, y = _random(operator.domain, batch=batch), _random(operator.codomain, 1, batch=batch)
    seen = []

    def shorten(piece):
        seen.append(piece.shape)
        return piece.mul_(1 / torch.linalg.vector_norm(piece, dim=-4, keepdim=True).clamp_min(1))

    expected = shorten(y - 0.3 * operator(x))
    seen.clear()
    found = operator.add_applied_(y.clone(), x, -0.3, shorten)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)  # sums in another order
    assert len(seen) > 1
    assert {shape[-4] for shape in seen} == {2}


def test_its_argument_stays_as_it_is_whatever_its_strides():
    operator = _differences((4, 6, 8))
    x = _random(operator.domain)
    strided = x.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    before = strided.clone()
    assert torch.equal(operator(strided), operator(x))
    assert torch.equal(operator(x.conj()), operator(x).conj())
    assert torch.equal(operator.normal(x.conj()), operator.normal(x).conj())
    assert torch.equal(strided, before)


def test_an_image_that_has_a_dim_of_the_result_s_name_is_refused():
    space = Space((ALONG, "x"), (3, 4))
    with pytest.raises(SpaceError, match="every dim once"):
        Differences(space, ("x",))
