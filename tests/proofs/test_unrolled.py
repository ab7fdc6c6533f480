"""An unrolled network: a few steps of gradient descent, whose prior's gradient is learnt by training through them.

Diamond, Sitzmann, Heide & Wetzstein, Unrolled optimization with deep priors, 2017. The layers are the solver's own
steps with gradients on; the prior is a network, and nothing is known to the contracts but that it has a gradient.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from preimage.problem import Problem
from preimage.solving import Stop, load_state, save_state, solve
from preimage.space import Space
from preimage.testing.agreement import relative_error
from preimage.weights import load_weights, save_weights
from preimage_imaging.convolution.images import PeriodicConvolution
from preimage_variational.solvers.gradient_descent import GradientDescent

N, NOISE = 20, 0.2
SPACE = Space(("y", "x"), (N, N), torch.complex128)
SOLVER = GradientDescent(rule="fixed", step=1.0, momentum="nesterov", max_iter=4)
"""The step of data terms whose operators have the norm 1: how steep a network is, nobody says."""


class Learned(nn.Module):
    """∇R of a prior that nobody has written down: three convolutions of the real and the imaginary part."""

    def __init__(self, seed):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            channels = (2, 8, 8, 2)
            layers = [nn.Conv2d(a, b, 3, padding="same") for a, b in pairwise(channels)]
        self.layers = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2]).double()

    def grad(self, x):
        parts = torch.stack([x.real, x.imag], -3)
        found = self.layers(parts.flatten(0, -4)).reshape(parts.shape)
        return torch.complex(*found.unbind(-3))


def blur():
    """A Gaussian of 0.6 pixels."""
    line = np.exp(-0.5 * (np.arange(-2, 3) / 0.6) ** 2)
    psf = torch.from_numpy(np.outer(line, line) / line.sum() ** 2)
    return PeriodicConvolution(SPACE, psf, SPACE.dims)


def images(n, seed):
    """Four flat rectangles of complex values, one over the other."""
    random = np.random.default_rng(seed)
    x = np.zeros((n, N, N), complex)
    for image in x:
        for _ in range(4):
            (top, left), (height, width) = random.integers(0, N - 4, 2), random.integers(4, N // 2 + 2, 2)
            image[top : top + height, left : left + width] = random.standard_normal(2) @ [1, 1j]
    return torch.from_numpy(x)


TRUTHS = images(16, seed=1)


def measured(x, prior, seed):
    """The problem of images, blurred and noisy."""
    operator = blur()
    noise = SPACE.randn(torch.Generator().manual_seed(seed), (len(x),))
    return Problem(operator(x) + NOISE * noise, operator, priors=(prior,))


def unrolled(problem):
    """The four steps, with gradients on."""
    state = SOLVER.start(problem)
    for _ in range(SOLVER.stop.max_iter):
        state = SOLVER.step(problem, state)
    return state.x


def trained(targets):
    """A network after fifty steps of Adam towards what is said to have been measured."""
    prior = Learned(seed=0)
    problem = measured(TRUTHS, prior, seed=2)
    optimiser = torch.optim.Adam(prior.parameters(), lr=1e-2)
    for _ in range(50):
        optimiser.zero_grad()
        (unrolled(problem) - targets).abs().square().mean().backward()
        optimiser.step()
    return prior


@pytest.fixture(scope="module")
def prior():
    return trained(TRUTHS)


@pytest.fixture(scope="module")
def truth():
    """Images that are never trained on."""
    return images(32, seed=3)


def error(prior, truth):
    """On held-out data."""
    return relative_error(solve(SOLVER, measured(truth, prior, seed=4)).x, truth)


def test_training_makes_it_better_than_every_linear_filter(prior, truth):
    """Wiener's filter by the very spectrum of the held-out images: no filter has a smaller expected error.

    With a quadratic prior the four steps would be a filter: what is learnt is more than the best weight of one. Of the
    energy of the untrained error less than half is left.
    """
    problem, untrained = measured(truth, prior, seed=4), Learned(seed=0)
    point = SPACE.zeros()
    point[0, 0] = 1
    transfer = torch.fft.fft2(problem.operator(point))
    power = torch.fft.fft2(truth, norm="ortho").abs().square().mean(0)
    wiener = transfer.conj() * power / (transfer.abs().square() * power + NOISE**2)
    filtered = relative_error(torch.fft.ifft2(wiener * torch.fft.fft2(problem.y)), truth)
    assert error(prior, truth) < filtered < error(untrained, truth)
    assert error(prior, truth) ** 2 < 0.5 * error(untrained, truth) ** 2


def test_trained_towards_other_images_it_does_not(truth):
    """The control: as many steps, with truths that are not those that were measured."""
    assert error(trained(TRUTHS.roll(1, 0)), truth) > error(Learned(seed=0), truth)


def test_a_gradient_arrives_at_every_parameter_and_is_the_slope(prior, agreement):
    """Through four steps, along a random direction of each parameter."""
    learned, truth = copy.deepcopy(prior), images(2, seed=5)
    problem = measured(truth, learned, seed=6)

    def loss():
        return (unrolled(problem) - truth).abs().square().mean()

    gradients = torch.autograd.grad(loss(), learned.parameters())
    numbers, h = torch.Generator().manual_seed(0), 1e-6
    for parameter, gradient in zip(learned.parameters(), gradients, strict=True):
        assert bool(gradient.any())
        along = torch.randn(parameter.shape, dtype=torch.float64, generator=numbers)
        along /= along.norm()
        with torch.no_grad():
            parameter.add_(h * along)
            above = loss()
            parameter.sub_(2 * h * along)
            slope = (above - loss()) / (2 * h)
            parameter.add_(h * along)
        agreement(
            "solver.gradient-descent, unrolled",
            "a central difference along each parameter",
            (slope - (gradient * along).sum()).abs() / gradient.norm(),
            1e-8,
            "of the gradient: a loss of about it, rounded to some ε, over a step of 1e-6",
        )


def test_the_loop_records_no_gradient_and_its_steps_are_those_of_training(prior, truth):
    problem = measured(truth, prior, seed=4)
    quiet, loud = solve(SOLVER, problem).x, unrolled(problem)
    assert loud.requires_grad
    assert not quiet.requires_grad
    # Of y + αx, which is rounded once or twice, four times.
    torch.testing.assert_close(quiet, loud.detach(), rtol=0, atol=1e-14 * float(problem.y.abs().max()))


def test_weights_and_state_are_saved_and_go_on_bit_for_bit(prior, truth, tmp_path):
    problem = measured(truth, prior, seed=4)
    save_weights(prior.state_dict(), tmp_path / "prior.safetensors")
    save_state(solve(SOLVER, problem, Stop(2)), tmp_path / "state.safetensors")

    reloaded = Learned(seed=7)
    expected = {name: tuple(tensor.shape) for name, tensor in reloaded.state_dict().items()}
    reloaded.load_state_dict(load_weights(tmp_path / "prior.safetensors", expected))
    again = measured(truth, reloaded, seed=4)
    assert not torch.equal(solve(SOLVER, measured(truth, Learned(seed=7), seed=4)).x, solve(SOLVER, problem).x)
    state = load_state(SOLVER.start(again), tmp_path / "state.safetensors")
    assert state.iteration == 2
    assert torch.equal(solve(SOLVER, again, state=state).x, solve(SOLVER, problem).x)
