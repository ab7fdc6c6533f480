from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from preimage.space import Blocks, Space
from preimage.testing import PriorLaws
from preimage.testing.agreement import largest_error
from preimage_variational.priors import tikhonov
from preimage_variational.priors.tikhonov import Settings, Tikhonov, preimage_axes


class TestLaws(PriorLaws):
    method = tikhonov


def test_its_lipschitz_constant_is_by_how_much_its_gradient_changes():
    x, z = torch.randn(2, 20, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    prior = Tikhonov(0.6)
    change = prior.grad(x) - prior.grad(z)
    assert float(change.norm()) == pytest.approx(prior.lipschitz() * float((x - z).norm()), rel=1e-14)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_it_is_scipys_normal_density_and_its_prox_numpys_least_squares(dtype, agreement):
    """A variance of 1/λ of each real number; the prox is the least of ‖[√λ I, I/√step] z − [0, x/√step]‖²."""
    x, weight, step = torch.randn(20, dtype=dtype, generator=torch.Generator().manual_seed(0)), 0.6, 0.7
    numbers = torch.view_as_real(x).numpy() if dtype.is_complex else x.numpy()
    density = stats.norm(scale=weight**-0.5)
    expected = np.sum(density.logpdf(0) - density.logpdf(numbers))
    error = abs(float(Tikhonov(weight).value(x)) / expected - 1)
    agreement("prior.tikhonov", "SciPy's logpdf", error, 1e-14, "relative: a sum of forty squares, rounded")
    stacked = np.concatenate([weight**0.5 * np.eye(20), np.eye(20) / step**0.5])
    expected, *_ = np.linalg.lstsq(stacked, torch.cat([0 * x, x / step**0.5]).numpy())
    error = largest_error(Tikhonov(weight).prox(x, step), expected)
    agreement("prior.tikhonov", "NumPy's lstsq, for the prox", error, 1e-14, "rounding, at a condition of 1")


def test_values_and_prox_of_one_number():
    prior, x = Tikhonov(2.0), torch.tensor([3 + 4j])
    assert prior.value(x) == 25
    assert prior.grad(x) == 6 + 8j
    assert prior.prox(x, 0.5) == 1.5 + 2j


def test_several_unknowns_count_together():
    prior, x = Tikhonov(2.0), Blocks(image=torch.tensor([3 + 4j]), field=torch.tensor([[1.0], [2.0]]))
    assert prior.value(x) == 30
    assert prior.prox(x, 0.5)["field"].tolist() == [[0.5], [1.0]]


def test_all_dims_may_be_cut():
    axes = preimage_axes(Settings(), Space(("z", "y"), (3, 1)))
    assert {dim: repr(axis) for dim, axis in axes.items()} == {"z": "split", "y": "split"}
