"""DPS: a step with a gradient through the denoiser and the operator inside it, while the loop records none.

Chung et al., Diffusion posterior sampling for general noisy inverse problems, 2023.
"""

from __future__ import annotations

import pytest
import torch

from preimage.priors import Denoiser
from preimage.problem import Problem
from preimage.solving import Needs, Solver, State, Stop, solve
from preimage.testing.agreement import largest_error
from preimage.testing.toys import Rows

from .conftest import random

SIGMA, LENGTH = 0.8, 0.3


class DpsStep(Solver):
    """x + length · Re-gradient of ½‖A D(x) − y‖², downhill: the guidance of one step, without its noise."""

    needs = Needs(prior=(Denoiser,), priors=range(1, 2))
    minimises = False
    stop = Stop(1)

    def step(self, problem, state):
        with torch.enable_grad():
            x = state.x if state.x.requires_grad else state.x.detach().requires_grad_()
            value = problem.likelihood.value(problem.operator(problem.priors[0].denoise(x, SIGMA)), problem.y)
            (gradient,) = torch.autograd.grad(value, x, create_graph=torch.is_grad_enabled() and state.x.requires_grad)
        return State(x=state.x - LENGTH * gradient, iteration=state.iteration + 1)


@pytest.fixture(params=[torch.float64, torch.complex128])
def case(request, gaussian):
    """A problem of a batch of two, a point, and the closed form of the gradient there: KᴴAᴴ(A D(x) − y)."""
    matrix, prior = random(5, 8, seed=3, dtype=request.param), gaussian(request.param)
    y, x = random(2, 1, 5, seed=4, dtype=request.param), random(2, 1, 8, seed=5, dtype=request.param)
    k = prior.gain(SIGMA)
    residual = prior.denoise(x, SIGMA) @ matrix.mT - y
    return Problem(y, Rows(matrix[None]), priors=(prior,)), x, residual @ (matrix @ k).conj()


def test_the_guidance_is_the_closed_form(case, agreement):
    problem, x, gradient = case
    state = solve(DpsStep(), problem, x0=x)
    error, reason = largest_error(state.x, x - LENGTH * gradient), "products of matrices of eight numbers, rounded"
    agreement("DPS, of the tests", "the step's closed form for a Gaussian prior", error, 1e-12, reason)
    assert not state.x.requires_grad


def test_with_gradients_on_the_step_is_the_same_and_can_be_differentiated(case, agreement):
    problem, x, _ = case
    quiet = solve(DpsStep(), problem, x0=x).x
    start = State(x=x.clone().requires_grad_())
    loud = DpsStep().step(problem, start).x
    torch.testing.assert_close(loud.detach(), quiet, rtol=1e-14, atol=1e-14)
    (through,) = torch.autograd.grad(loud.abs().square().sum(), start.x)
    hessian = problem.operator.matrices[0] @ problem.priors[0].gain(SIGMA)
    # The step is affine: x ↦ x − length · BᴴB x + constant, and so is its derivative.
    expected = 2 * (quiet - LENGTH * quiet @ (hessian.mH @ hessian).mT)
    error = largest_error(through, expected) / float(expected.abs().max())
    reason = "of the largest: products of matrices of eight numbers, rounded"
    agreement("DPS, of the tests", "the closed form of a gradient through the step", error, 1e-12, reason)
