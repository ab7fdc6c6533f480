from __future__ import annotations

import cmath

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from preimage.errors import RequestError
from preimage.space import ProductSpace, Space
from preimage.testing import PriorLaws
from preimage_variational.priors import total_variation
from preimage_variational.priors.total_variation import Settings, preimage_axes, preimage_memory, preimage_prior

VOLUME = Space(("z", "y", "x"), (4, 5, 6), torch.complex128)


class TestLaws(PriorLaws):
    method = total_variation


def _by_numpy(x, isotropic, axes=(-3, -2, -1), lengths=(1, 1, 1)):
    steps = [np.diff(x, axis=a, append=np.take(x, [-1], a)) / h for a, h in zip(axes, lengths, strict=True)]
    return np.sqrt(sum(np.abs(s) ** 2 for s in steps)).sum() if isotropic else sum(np.abs(s).sum() for s in steps)


@pytest.mark.parametrize("kind", ["isotropic", "anisotropic"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_value_is_the_sum_of_the_gradients(kind, dtype, agreement):
    space = Space(VOLUME.dims, VOLUME.shape, dtype)
    x = space.randn(torch.Generator().manual_seed(0))
    isotropic = kind == "isotropic"
    prior = preimage_prior(Settings(weight=0.6, kind=kind), space)
    longer = preimage_prior(Settings(weight=0.6, kind=kind, dims=("x", "z"), spacing={"z": 3.0}), space)
    for one, expected in (
        (prior, 0.6 * _by_numpy(x.numpy(), isotropic)),
        (longer, 0.6 * _by_numpy(x.numpy(), isotropic, (-1, -3), (1, 3))),
    ):
        error = abs(float(one.value(x)) / expected - 1)
        agreement("prior.total-variation", "NumPy's diff", error, 1e-14, "relative: a sum of 120 to 360 numbers")


def test_a_ramp_in_longer_pixels_varies_less():
    ramp = torch.arange(4, dtype=torch.float64).reshape(4, 1, 1).expand(4, 5, 6)
    space = Space(VOLUME.dims, VOLUME.shape, torch.float64)
    assert float(preimage_prior(Settings(weight=1.0), space).value(ramp)) == pytest.approx(3 * 30)
    assert float(preimage_prior(Settings(weight=1.0, spacing={"z": 2.0}), space).value(ramp)) == pytest.approx(45)


def test_a_phase_makes_no_difference_and_a_constant_costs_nothing():
    prior, x = preimage_prior(Settings(weight=1.0), VOLUME), VOLUME.randn(torch.Generator().manual_seed(1))
    assert float(prior.value(x * cmath.exp(0.7j))) == pytest.approx(float(prior.value(x)), rel=1e-14)
    assert float(prior.value(torch.full_like(x, 3 + 2j))) == 0


def test_the_dims_of_the_differences_couple_neighbours_and_the_others_may_be_cut():
    def axes(**settings):
        return " ".join(map(repr, preimage_axes(Settings(**settings), VOLUME).values()))

    assert axes() == "halo(1) halo(1) halo(1)"
    assert axes(dims=("z", "y")) == "halo(1) halo(1) split"


def test_more_dims_need_more_memory():
    assert preimage_memory(Settings(dims=("y", "x")), None).per_image == 4
    assert preimage_memory(Settings(), None).per_image == 6


def test_strange_dims_and_several_unknowns_are_refused():
    with pytest.raises(RequestError, match=r"total-variation: there is no dim 't' in the image; it has z, y, x"):
        preimage_prior(Settings(dims=("z", "t")), VOLUME)
    with pytest.raises(RequestError, match=r"total-variation: spacing: there is no dim 'slice'"):
        preimage_prior(Settings(spacing={"slice": 3.0}), VOLUME)
    with pytest.raises(RequestError, match=r"say with `on` which of image, field it is for"):
        preimage_axes(Settings(), ProductSpace(image=VOLUME, field=VOLUME))


@pytest.mark.parametrize(
    "settings", [{"kind": "euclidean"}, {"dims": []}, {"weight": -1}, {"spacing": {"z": 0}}, {"spacing": {"z": -1}}]
)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValidationError):
        Settings(**settings)
