"""Random numbers depend on keys alone."""

import numpy as np
import pytest
import torch
from scipy import stats

from preimage.randomness import Draw, Seed, derive_seed
from preimage.space import ProductSpace, Space

SPACE = Space(("n", "m"), (4, 3), torch.complex64)


def test_an_element_of_a_batch_draws_its_own_and_a_lone_problem_that_of_the_first():
    batch, following = Seed(3).normal(SPACE, (2, 2))
    lone, _ = Seed(3).normal(SPACE)
    assert torch.equal(batch[0, 0], lone)
    assert not torch.equal(batch[0, 0], batch[0, 1])
    assert following == Seed(3, 1)
    assert not torch.equal(following.normal(SPACE)[0], lone)
    assert torch.equal(Seed(3, 0).normal(SPACE)[0], lone)


def test_blocks_are_drawn_part_by_part():
    product = ProductSpace(a=SPACE, b=Space(("k",), (5,), torch.float64))
    drawn, _ = Seed(1).normal(product, (2,))
    assert drawn["a"].shape == (2, 4, 3)
    assert torch.equal(drawn["b"][0], Seed(1).normal(product)[0]["b"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize(
    ("origin", "shape"),
    [((1, 2, 3), (3, 2, 4)), ((0, 0, 0), (5, 1, 7)), ((4, 0, 0), (1, 6, 7)), ((0, 5, 6), (5, 1, 1))],
)
def test_a_block_draws_what_the_whole_draws_there(dtype, origin, shape):
    whole = Draw(9, (0, 0, 0), (5, 6, 7)).normal((5, 6, 7), dtype)
    part = whole[tuple(slice(o, o + n) for o, n in zip(origin, shape, strict=True))]
    assert torch.equal(Draw(9, origin, (5, 6, 7)).normal(shape, dtype), part)
    assert not torch.equal(Draw(10, origin, (5, 6, 7)).normal(shape, dtype), part)


def test_draws_are_normal_with_unit_energy():
    n = 40_000  # Kolmogorov–Smirnov at p = 1e-6 for a fixed seed; another scale must fail it
    real = Draw(1, (0,), (n,)).normal((n,), torch.float64).numpy()
    drawn = Draw(2, (0,), (n,)).normal((n,), torch.complex128).numpy()
    for sample in (real, drawn.real * 2**0.5, drawn.imag * 2**0.5):
        assert stats.kstest(sample, "norm").pvalue > 1e-6
    assert stats.kstest(drawn.real, "norm").pvalue < 1e-6
    uniform = Draw(1, (0,), (n,)).uniform((n,), torch.float64).numpy()
    assert stats.kstest(uniform, "uniform").pvalue > 1e-6


@pytest.mark.parametrize("rate", [0.3, 4.0, 999.0, 1001.0, 1e7])
def test_counts_are_poisson(rate):
    n = 40_000  # χ² at p = 1e-6 for a fixed seed, over cells with some thousand draws each; a rate 10 % off must fail
    counts = Draw(1, (0,), (n,)).poisson(torch.full((n,), rate, dtype=torch.float64)).numpy()
    assert _fit(counts, rate) > 1e-6
    assert _fit(counts, 1.1 * rate) < 1e-6


def _fit(counts, rate):
    """The p-value of Pearson's test in cells between quantiles."""
    edges = np.unique(stats.poisson.ppf(np.linspace(0.05, 0.95, 10), rate))
    share = np.diff(stats.poisson.cdf(edges, rate), prepend=0, append=1)
    found = np.bincount(np.searchsorted(edges, counts), minlength=len(share))
    return stats.chisquare(found[share > 0], len(counts) * share[share > 0]).pvalue


@pytest.mark.parametrize("rate", [0.01, 0.7, 30.0, 999.0])
def test_a_count_is_the_quantile_of_its_uniform_number(rate):
    draw, n = Draw(3, (0,), (5000,)), 5000
    uniform = draw.uniform((n,), torch.float64).numpy()
    counts = draw.poisson(torch.full((n,), rate, dtype=torch.float64)).numpy()
    np.testing.assert_array_equal(counts, stats.poisson.ppf(uniform, rate))


def test_many_counts_are_off_by_one_once_in_thousands():
    draw, n = Draw(3, (0,), (50_000,)), 50_000
    uniform = draw.uniform((n,), torch.float64).numpy()
    wrong = draw.poisson(torch.full((n,), 1000.0, dtype=torch.float64)).numpy() - stats.poisson.ppf(uniform, 1000.0)
    assert abs(wrong).max() <= 1
    assert (wrong != 0).mean() < 5e-4


def test_a_block_counts_what_the_whole_counts_there():
    rate = torch.linspace(0, 2000, 5 * 6 * 7).reshape(5, 6, 7)
    whole = Draw(9, (0, 0, 0), (5, 6, 7)).poisson(rate)
    assert whole.dtype == torch.float32
    part = Draw(9, (1, 2, 0), (5, 6, 7)).poisson(rate[1:4, 2:, :3])
    assert torch.equal(part, whole[1:4, 2:, :3])
    assert not torch.equal(Draw(10, (1, 2, 0), (5, 6, 7)).poisson(rate[1:4, 2:, :3]), part)


@pytest.mark.parametrize("rate", [-0.5, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="finite and ≥ 0"):
        Draw(0, (0,), (2,)).poisson(torch.tensor([1.0, rate]))


def test_nothing_expected_is_nothing_counted():
    assert not Draw(0, (0,), (1000,)).poisson(torch.zeros(1000)).any()


def test_neighbours_are_independent():
    n = 40_000  # |correlation| of independent numbers is below 5/√n
    drawn = Draw(1, (0,), (n,)).normal((n,), torch.complex128)
    for one, other in ((drawn.real, drawn.imag), (drawn.real[1:], drawn.real[:-1]), (drawn.real[1:], drawn.imag[:-1])):
        assert abs(2 * (one * other).mean()) < 5 / n**0.5


def test_a_block_must_lie_in_the_whole():
    with pytest.raises(ValueError, match="is no part of"):
        Draw(0, (0,), (2, 3)).normal((2,), torch.float64)


def test_seeds_differ_by_key():
    assert derive_seed(1, "a") != derive_seed(1, "b")
    assert 0 <= derive_seed(1, 2, 3) < 2**63
