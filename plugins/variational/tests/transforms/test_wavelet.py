from __future__ import annotations

import pytest
import pywt
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preimage.space import Space
from preimage.testing import check_operator
from preimage.testing.agreement import largest_error
from preimage_variational import pieces
from preimage_variational.transforms.wavelet import Wavelet

DIMS = ("z", "y", "x")


def _transform(shape, dims=None, *, dtype=torch.complex128, wavelet="db2", levels=3):
    space = Space(DIMS[-len(shape) :], shape, dtype)
    return Wavelet(space, dims or space.dims, wavelet, levels)


def _random(transform, seed=0, batch=()):
    return transform.domain.randn(torch.Generator().manual_seed(seed), batch)


@pytest.mark.parametrize(
    ("shape", "dims", "wavelet", "levels"),
    [
        ((8, 16, 24), DIMS, "haar", 3),
        ((8, 16, 24), DIMS, "db2", 3),
        ((8, 16, 24), ("z", "y"), "db4", 2),
        ((5, 16, 7), ("y",), "sym4", 4),
        ((32, 48), ("y", "x"), "coif1", 3),
        ((64,), ("x",), "db3", 6),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_bands_are_those_of_pywavelets_where_lengths_divide(shape, dims, wavelet, levels, dtype, agreement):
    transform = _transform(shape, dims, dtype=dtype, wavelet=wavelet, levels=levels)
    x = _random(transform)
    w = transform(x).numpy()
    axes = [transform.domain.axis(dim) for dim in dims]
    approximation, *details = pywt.wavedecn(x.numpy(), wavelet, "periodization", levels, axes)

    def band(level, letters):
        index = [slice(None)] * len(shape)
        for axis, letter in zip(axes, letters, strict=True):
            index[axis] = slice(0 if letter == "a" else 2 ** (level - 1), None, 2**level)
        return w[tuple(index)]

    pairs = [(w[transform.approximation], approximation)]
    for level, bands in zip(range(levels, 0, -1), details, strict=True):
        pairs += [(band(level, letters), expected) for letters, expected in bands.items()]
    tolerance = 1e-11 if wavelet == "sym4" else 1e-12
    reason = "values of order 1; its own sym4 is orthonormal to 1e-12 only: that, at each level"
    for found, expected in pairs:
        error = largest_error(found, expected)
        agreement("prior.sparsity", "PyWavelets, for all levels", error, tolerance, reason)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 19), min_size=1, max_size=3).map(tuple),
    wavelet=st.sampled_from(["haar", "db2", "db5", "sym8", "coif3"]),
    levels=st.integers(1, 6),
    data=st.data(),
)
def test_it_is_unitary_for_any_lengths_and_levels(shape, wavelet, levels, data):
    dims = data.draw(st.lists(st.sampled_from(DIMS[-len(shape) :]), min_size=1, unique=True))
    transform = _transform(shape, dims, wavelet=wavelet, levels=levels)
    x, w = _random(transform, 1), _random(transform, 2)
    # Rounding of at most 6 levels of 3 · 9 rotations.
    close = {"rtol": 0, "atol": 1e-13}
    torch.testing.assert_close(transform.adjoint(transform(x)), x, **close)
    torch.testing.assert_close(transform(transform.adjoint(w)), w, **close)
    torch.testing.assert_close(transform(x).norm(), x.norm(), rtol=1e-14, atol=0)


@pytest.mark.parametrize("shape", [(6, 1, 5), (1, 1, 1), (9, 7)])
def test_it_obeys_the_laws_of_operators(shape):
    for outcome in check_operator(_transform(shape, levels=2)):
        assert outcome.problem is None, str(outcome)


def test_the_last_sample_of_an_odd_length_goes_to_the_approximation_as_it_is():
    transform = _transform((7,), levels=1)
    x = _random(transform)
    w = transform(x)
    assert w[-1] == x[-1]
    assert (w[:-1] - x[:-1]).abs().min() > 1e-3
    assert w[transform.approximation].shape == (4,)


def test_230_by_180_has_three_levels_and_compresses_as_well_as_lengths_that_divide():
    def share_lost(shape):
        transform = _transform(shape, dtype=torch.float64, wavelet="db4")
        photograph = torch.from_numpy(skimage.data.camera()[: shape[0], : shape[1]].astype(float))
        energy = transform(photograph).square().flatten().sort(descending=True).values
        return float(energy[len(energy) // 20 :].sum() / energy.sum())

    assert _transform((230, 180)).domain.zeros()[_transform((230, 180)).approximation].shape == (29, 23)
    # The pictures differ by 2 % of their pixels, so that what is lost differs by some per cent too.
    assert share_lost((230, 180)) < 1.1 * share_lost((232, 184))
    assert share_lost((231, 181)) < 1.1 * share_lost((232, 184))


@pytest.mark.parametrize("dims", [DIMS, ("y", "x"), ("x",), ("z",)])
def test_pieces_do_not_change_it(dims, monkeypatch):
    transform = _transform((9, 12, 10), dims)
    x = _random(transform, batch=(2,))
    whole = transform(x)
    monkeypatch.setattr(pieces, "PIECE", 512)
    assert len(pieces.pieces(x, (-1, -2, -3))) > 5
    # The same operations; vector and scalar instructions may round differently.
    torch.testing.assert_close(transform(x), whole, rtol=0, atol=1e-14)


def test_its_argument_stays_as_it_is_whatever_its_strides():
    transform = _transform((4, 6, 8))
    x = _random(transform)
    strided = x.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    before = strided.clone()
    assert torch.equal(transform(strided), transform(x))
    assert torch.equal(transform(x.conj()), transform(x).conj())
    assert torch.equal(strided, before)
