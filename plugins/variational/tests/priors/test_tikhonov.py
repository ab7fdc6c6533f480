from __future__ import annotations

import torch

from preimage.space import Blocks, Space
from preimage.testing import PriorLaws
from preimage_variational.priors import tikhonov
from preimage_variational.priors.tikhonov import Settings, Tikhonov, preimage_axes


class TestLaws(PriorLaws):
    method = tikhonov


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
