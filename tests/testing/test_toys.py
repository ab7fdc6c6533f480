"""Toy problems have the answers that they are said to have, and datasets are cut as they should be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from preimage.declarations import halo, split, whole
from preimage.operators import LinearOperator, NormalSolvable, Operator
from preimage.priors import Proximable
from preimage.testing.datasets import blockings, cuttings, headers_alone, in_precision
from preimage.testing.law import LawBroken, NotOffered
from preimage.testing.restricted import only_operator, only_part
from preimage.testing.toys import N_ROWS, Quadratic, Toy

TOYS = [Toy(), Toy(torch.float64, 2), Toy(masked=True)]


def answer(problem):
    """(MᴴM + λ)⁻¹Mᴴy, row by row."""
    matrices, weight = problem.operator.matrices, sum(prior.weight for prior in problem.priors)
    normal = matrices.mH @ matrices + weight * torch.eye(matrices.shape[-1], dtype=matrices.dtype)
    return torch.linalg.solve(normal, (matrices.mH @ problem.y[..., None]))[..., 0]


@pytest.mark.parametrize("toy", TOYS, ids=str)
@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_the_answer_is_the_same_for_every_scale(toy, scale):
    torch.testing.assert_close(answer(toy.problem(scale=scale)), answer(toy.problem()), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("toy", TOYS, ids=str)
def test_a_block_of_rows_is_a_problem_of_its_own(toy):
    rows = slice(1, 3)
    torch.testing.assert_close(answer(toy.problem(rows=rows)), answer(toy.problem())[rows], rtol=1e-12, atol=1e-12)


def test_the_rows_have_different_norms():
    norms = {round(Toy().problem(rows=slice(i, i + 1)).operator.norm().value, 6) for i in range(N_ROWS)}
    assert len(norms) == N_ROWS, "else a solver that takes its step from its block would not be noticed"


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_quadratic_prior_denoises_by_the_posterior_mean(dtype):
    """x₀ of variance v a real number, seen under noise with E|n|² = σ²: the mean is v/(v + variance of n) · x."""
    space = Toy(dtype).problem().domain
    x, weight, sigma = space.randn(torch.Generator().manual_seed(0)), 0.8, 0.6
    noise = sigma**2 / (2 if dtype.is_complex else 1)
    torch.testing.assert_close(Quadratic(space, weight).denoise(x, sigma), x * (1 / weight) / (1 / weight + noise))


def test_a_restricted_part_has_what_is_asked_for_and_no_more():
    problem, used = Toy().problem(), set()
    solvable = only_operator(problem.operator, [NormalSolvable], used)
    assert isinstance(solvable, NormalSolvable)
    assert not hasattr(solvable, "pinv")
    assert not isinstance(only_operator(problem.operator, [Operator], used), LinearOperator)
    prior = only_part(problem.priors[0], [Proximable], used)
    assert not hasattr(prior, "value")
    prior.prox(problem.zeros(), 1.0)
    assert used == {"prox"}


def test_two_blockings_cover_a_dim_with_unequal_blocks():
    assert blockings(2) == [[slice(0, 1), slice(1, 2)]]
    assert blockings(5) == [[slice(0, 2), slice(2, 5)], [slice(0, 1), slice(1, 4), slice(4, 5)]]


def test_a_halo_is_read_as_far_as_the_array_goes():
    (first, second), _ = cuttings({"z": halo(1), "y": whole}, {"z": 5, "y": 4})
    assert (first.read, first.inner) == (slice(0, 3), slice(0, 2))
    assert (second.read, second.inner) == (slice(1, 5), slice(1, 4))


@pytest.mark.parametrize(("axes", "says"), [({"z": whole}, "every dim is whole"), ({"z": split}, "long enough")])
def test_nothing_to_cut_is_not_offered(axes, says):
    with pytest.raises(NotOffered, match=says):
        list(cuttings(axes, {"z": 1}))


def test_headers_alone_can_be_looked_at_and_values_only_of_what_is_small():
    mask = xr.Variable(("x",), np.ones(3, bool), {"small": True})
    dataset = xr.Dataset({"truth": ("x", np.ones(3, np.float32), {"units": "m"}), "mask": mask}, {"x": [1, 2, 3]})
    closed = headers_alone(dataset, "someone")
    assert closed["truth"].dtype == np.float32
    assert closed["truth"].attrs == {"units": "m"}
    assert bool(closed["mask"].all())
    with pytest.raises(LawBroken, match="someone reads the values of 'truth'"):
        closed["truth"].values  # noqa: B018


def test_precision_is_of_numbers_and_not_of_masks_or_counts():
    dataset = xr.Dataset({"a": ("x", np.ones(2, np.complex64), {"units": "m"}), "n": ("x", np.ones(2, np.uint8))})
    exact = in_precision(dataset, torch.float64)
    assert (exact["a"].dtype, exact["n"].dtype) == (np.complex128, np.uint8)
    assert exact["a"].attrs == {"units": "m"}
