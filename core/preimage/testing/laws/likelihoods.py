"""Laws of likelihoods: gradient and prox against the value, samples against the density and the mean, the phase."""

from __future__ import annotations

import cmath
import math
from typing import Any

import torch
from torch import Tensor

from preimage.likelihoods import expected, is_phaseless
from preimage.randomness import Draw
from preimage.testing.comparing import DOUBLE, dot, expect_close, expect_same_number, generator, length, slope
from preimage.testing.examples import LikelihoodExample
from preimage.testing.law import LawBroken, Laws, NotOffered
from preimage.testing.laws.minimum import expect_prox

LIKELIHOODS = Laws()

STEPS = (0.05, 1.0, 6.0)
CLOSED = 1e-10
N_DRAWS = 4000
"""Numbers drawn at least: a variance that is wrong by a quarter is then off by more than ten standard errors."""
SIGMAS = 5.0
"""Standard errors allowed: a right sampler fails once in a million, and the draws are always the same."""


@LIKELIHOODS.each
@torch.no_grad()
def gradient(example: LikelihoodExample) -> None:
    """grad is the slope of value in u, for complex u ∂/∂Re + i ∂/∂Im."""
    likelihood, u, y = example.likelihood, example.u, example.y
    v = torch.randn(u.shape, dtype=u.dtype, generator=generator(1)) * length(u) / math.sqrt(u.numel())
    found, expected = dot(likelihood.grad(u, y), v), slope(lambda u: likelihood.value(u, y), u, v)
    cause = "half of it is the Wirtinger gradient ∂/∂ū"
    scale = length(likelihood.grad(u, y)) * length(v) + abs(float(expected))
    expect_same_number(found, expected, "Re ⟨grad(u, y), v⟩ and the slope of value along v", cause, scale=scale)


@LIKELIHOODS.each
@torch.no_grad()
def prox(example: LikelihoodExample) -> None:
    """prox(u, y, step) minimises value(z, y) + ‖z − u‖²/(2·step), also with a step for each element of a batch."""
    likelihood, u, y = example.likelihood, example.u, example.y
    for step in STEPS:
        z = likelihood.prox(u, y, step)
        expect_prox(lambda w: likelihood.value(w, y), z, u, step, f"prox(u, y, {step})")
    us, ys = example.stacked(2)
    steps = torch.tensor([0.1, 2.0], dtype=DOUBLE)
    together = likelihood.prox(us, ys, steps.reshape(2, *[1] * u.ndim))
    alone = torch.stack([likelihood.prox(us[i], ys[i], float(steps[i])) for i in range(2)])
    expect_close(together, alone, "prox with steps (*batch, 1, …, 1) and one by one", tolerance=CLOSED)


@LIKELIHOODS.each
@torch.no_grad()
def sample(example: LikelihoodExample) -> None:
    """Samples are of the density: its score is 0 on average, and its variance is what the curvature says.

    For a density exp(−ℓ/φ) two averages over y vanish: that of ∇ℓ, and that of ‖∇ℓ‖² − φ·tr ∇²ℓ (Bartlett, 1953).
    φ is std² for real data and std²/2 for each of the two numbers of complex ones where the likelihood has a `std`,
    else its `dispersion`, 1 by default: that of a normalised density.
    """
    likelihood, dispersion = example.likelihood, _dispersion(example)
    u, y = _drawn(example)
    n, score = len(u), _numbers(likelihood.grad(u, y))
    _expect_centred(score, "the score", "samples are not centred where the density is")
    curvature = dispersion * _curvature(example, u, y)
    surplus = score.square().sum(1) - curvature
    error = float(surplus.std()) / math.sqrt(n)
    if not abs(float(surplus.mean())) <= SIGMAS * error:
        ratio = float(score.square().sum(1).mean() / curvature.mean())
        raise LawBroken(
            f"the variance of {n} samples is {ratio:.3g} times the density's, {float(surplus.mean()) / error:.1f} "
            f"standard errors off, allowed {SIGMAS}: std² is E|n|² for real and complex data alike"
        )


@LIKELIHOODS.each
@torch.no_grad()
def expectation(example: LikelihoodExample) -> None:
    """The mean of the data is expected(u), or u itself where the likelihood has no such method."""
    _dispersion(example)
    u, y = _drawn(example)
    mean = expected(example.likelihood, u)
    if mean.shape != y.shape or mean.dtype != y.dtype:
        raise LawBroken(
            f"samples are {y.dtype} of shape {tuple(y.shape[1:])}, what is expected is {mean.dtype} of shape "
            f"{tuple(mean.shape[1:])}: a likelihood of data that are not u with noise has a method expected(u)"
        )
    _expect_centred(_numbers(y - mean), "samples less expected(u)", "does expected(u) say what data are at u?")


@LIKELIHOODS.each
@torch.no_grad()
def phase(example: LikelihoodExample) -> None:
    """A likelihood that says phaseless = True is of real data, and does not see a phase of u; prox and grad keep it."""
    likelihood, u, y = example.likelihood, example.u, example.y
    if not is_phaseless(likelihood):
        raise NotOffered("the likelihood does not say phaseless = True")
    if y.is_complex() or expected(likelihood, u).is_complex():
        raise LawBroken("it says phaseless = True, and its data are complex: what sees no phase has real data")
    turn = cmath.exp(0.7j) if u.is_complex() else -1
    for name in ("value", "grad", "prox"):
        steps = (0.7,) if name == "prox" else ()
        there, here = (getattr(likelihood, name)(one, y, *steps) for one in (turn * u, u))
        here = here if name == "value" else turn * here
        expect_close(there, here, f"{name} of e^{{iφ}}u and of u, turned", "is it phaseless?", tolerance=CLOSED)
    same = expected(likelihood, turn * u), expected(likelihood, u)
    expect_close(*same, "expected(e^{iφ}u) and expected(u)", "is it phaseless?", tolerance=CLOSED)


@LIKELIHOODS.each
@torch.no_grad()
def sample_in_blocks(example: LikelihoodExample) -> None:
    """A sample depends on the seed and on the place in the whole, not on the block in which it is drawn."""
    likelihood, shape = example.likelihood, tuple(example.u.shape)
    _dispersion(example)
    whole = likelihood.sample(example.u, Draw(3, (0,) * len(shape), shape))
    again = likelihood.sample(example.u, Draw(3, (0,) * len(shape), shape))
    if not torch.equal(whole, again):
        raise LawBroken("two samples with one seed differ: random numbers come from `draw` alone")
    if torch.equal(whole, likelihood.sample(example.u, Draw(4, (0,) * len(shape), shape))):
        raise LawBroken("samples with different seeds are equal: the seed is not used")
    for axis, length_ in enumerate(shape):
        for start, stop in ((0, length_ // 2), (length_ // 2, length_)):
            if start == stop:
                continue
            origin = tuple(start if i == axis else 0 for i in range(len(shape)))
            own = example.of_block(axis, slice(start, stop))
            part = own.sample(example.u.narrow(axis, start, stop - start), Draw(3, origin, shape))
            if not torch.equal(part, whole.narrow(axis, start, stop - start)):
                raise LawBroken(
                    f"the sample of the block {start}:{stop} of axis {axis} is not that block of the whole's"
                )


@LIKELIHOODS.each
@torch.no_grad()
def scale_equivariance(example: LikelihoodExample) -> None:
    """ℓ(c·u, c·y) = c²·ℓ(u, y), and so for grad and prox, where the likelihood says scale_equivariant = True."""
    likelihood, u, y = example.likelihood, example.u, example.y
    if not likelihood.scale_equivariant:
        raise NotOffered("the likelihood says scale_equivariant = False")
    for c in (0.1, 10.0):
        value, scaled = likelihood.value(u, y), likelihood.value(c * u, c * y)
        expect_close(scaled, c**2 * value, f"value({c}·u, {c}·y) and {c}²·value(u, y)", tolerance=CLOSED)
        slopes = likelihood.grad(c * u, c * y), c * likelihood.grad(u, y)
        expect_close(*slopes, f"grad({c}·u, {c}·y) and {c}·grad(u, y)", tolerance=CLOSED)
        nearest = likelihood.prox(c * u, c * y, 0.7), c * likelihood.prox(u, y, 0.7)
        expect_close(*nearest, f"prox({c}·u, {c}·y, 0.7) and {c}·prox(u, y, 0.7)", tolerance=CLOSED)
        if hasattr(likelihood, "rescaled"):
            draw = Draw(3, (0,) * u.ndim, tuple(u.shape))
            found, expected = likelihood.rescaled(c).sample(c * u, draw), c * likelihood.sample(u, draw)
            expect_close(found, expected, f"a sample of rescaled({c}) and {c} times a sample", tolerance=CLOSED)


def _drawn(example: LikelihoodExample) -> tuple[Tensor, Tensor]:
    """Predictions, again and again, and data drawn round them."""
    n = math.ceil(N_DRAWS / example.u.numel())
    u = example.u.expand(n, *example.u.shape).contiguous()
    return u, example.likelihood.sample(u, Draw(7, (0,) * u.ndim, tuple(u.shape)))


def _expect_centred(numbers: Tensor, name: str, cause: str) -> None:
    """Raise `LawBroken` unless the mean over draws, (draw, number), is 0 but for chance."""
    n = len(numbers)
    bias = numbers.mean(0) / (numbers.std(0) / math.sqrt(n) + 1e-300)
    worst = float(bias.abs().max())
    allowed = SIGMAS + math.sqrt(2 * math.log(bias.numel()))  # the largest of so many
    if not worst <= allowed:
        raise LawBroken(
            f"the mean of {name} over {n} samples is {worst:.1f} standard errors from 0, allowed {allowed:.1f}: {cause}"
        )


def _dispersion(example: LikelihoodExample) -> float:
    likelihood = example.likelihood
    if not hasattr(likelihood, "std"):
        return float(getattr(likelihood, "dispersion", 1.0))
    if not likelihood.std:
        raise NotOffered("the likelihood has no std")
    return float(likelihood.std) ** 2 / (2 if example.y.is_complex() else 1)


def _curvature(example: LikelihoodExample, u: Tensor, y: Tensor) -> Tensor:
    """tr ∇²ℓ of every draw, by a probe of random signs: exact where the elements of u are independent."""
    signs = torch.randint(0, 2, _numbers(u).shape, generator=generator(2)).to(DOUBLE) * 2 - 1
    probe: Any = signs.reshape(*u.shape, 2) if u.is_complex() else signs.reshape(u.shape)
    probe = torch.view_as_complex(probe) if u.is_complex() else probe
    curved = slope(lambda u: example.likelihood.grad(u, y), u, probe)
    return (_numbers(curved) * signs).sum(1)


def _numbers(x: Tensor) -> Tensor:
    """Real numbers of each draw, (draw, number)."""
    real = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    return real.reshape(len(x), -1)
