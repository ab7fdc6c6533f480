from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch
from pydantic import ValidationError

from preimage.errors import RequestError
from preimage.space import ProductSpace, Space
from preimage.testing import PriorLaws
from preimage.testing.agreement import largest_error
from preimage_variational.priors import sparsity
from preimage_variational.priors.l1 import L1Norm
from preimage_variational.priors.sparsity import Settings, WaveletSparsity, preimage_axes, preimage_prior

IMAGE = Space(("y", "x"), (16, 24), torch.complex128)
VOLUME = Space(("z", "y", "x"), (4, 6, 8))


class TestLaws(PriorLaws):
    method = sparsity


@pytest.mark.parametrize("all_bands", [False, True])
def test_the_prox_is_the_one_by_pywavelets(all_bands, agreement):
    prior = preimage_prior(Settings(weight=0.6, wavelet="db3", levels=2, threshold_approximation=all_bands), IMAGE)
    x = IMAGE.randn(torch.Generator().manual_seed(0))
    bands = pywt.wavedecn(x.numpy(), "db3", "periodization", 2)

    def shrink(w):
        return w * np.maximum(1 - 0.3 / np.abs(w), 0)

    shrunk = [
        shrink(bands[0]) if all_bands else bands[0],
        *({k: shrink(w) for k, w in level.items()} for level in bands[1:]),
    ]
    expected = pywt.waverecn(shrunk, "db3", "periodization")
    error = largest_error(prior.prox(x, 0.5), expected)
    agreement("prior.sparsity", "PyWavelets, for the prox", error, 1e-12, "its db3 is orthonormal to 1e-14")
    value = 0.6 * sum(np.abs(w).sum() for level in bands[1:] for w in level.values())
    value += 0.6 * np.abs(bands[0]).sum() * all_bands
    error = abs(float(prior.value(x)) / value - 1)
    agreement("prior.sparsity", "PyWavelets, for the value", error, 1e-12, "its db3 is orthonormal to 1e-14")


def test_the_prox_is_the_same_with_gradients():
    prior, x = preimage_prior(Settings(weight=0.6), IMAGE), IMAGE.randn(torch.Generator().manual_seed(1))
    before = x.clone()
    with torch.no_grad():
        expected = prior.prox(x, 0.5)
    assert torch.equal(x, before)
    assert torch.equal(prior.prox(x.requires_grad_(), 0.5), expected)


def test_transformed_dims_are_whole_and_the_others_may_be_cut():
    def axes(**settings):
        return " ".join(map(repr, preimage_axes(Settings(**settings), VOLUME).values()))

    assert axes() == "whole whole whole"
    assert axes(dims=("z", "y")) == "whole whole split"
    assert axes(transform="identity") == "split split split"


def test_the_prior_is_what_the_settings_say():
    assert isinstance(preimage_prior(Settings(transform="identity"), VOLUME), L1Norm)
    prior = preimage_prior(Settings(dims=("z", "x"), levels=2), VOLUME)
    assert isinstance(prior, WaveletSparsity)
    norm, transform = prior.split()
    assert transform.axes == (-3, -1)
    assert norm.spared == (slice(None, None, 4), slice(None), slice(None, None, 4))


def test_strange_dims_and_several_unknowns_are_refused():
    with pytest.raises(RequestError, match=r"there is no dim 't' in the image; it has z, y, x"):
        preimage_prior(Settings(dims=("z", "t")), VOLUME)
    with pytest.raises(RequestError, match=r"say with `on` which of image, field it is for"):
        preimage_axes(Settings(), ProductSpace(image=VOLUME, field=VOLUME))


@pytest.mark.parametrize(
    "settings", [{"wavelet": "bior2.2"}, {"levels": 0}, {"dims": []}, {"weight": -1}, {"transform": "fourier"}]
)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValidationError):
        Settings(**settings)
