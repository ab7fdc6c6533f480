"""CSGM: a search in the latent space of a generator; the state's image is always the generated one.

Bora, Jalal, Price & Dimakis, Compressed sensing using generative models, 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from preimage.movable import Movable
from preimage.priors import Generative
from preimage.problem import Problem
from preimage.solving import Needs, Solver, State, Stop, load_state, save_state, solve
from preimage.space import Space, owned_add
from preimage.testing.agreement import largest_error
from preimage.testing.toys import Rows

from .conftest import random

WEIGHT = 0.1


@dataclass(frozen=True)
class LinearGenerator(Movable):
    """x = W z + b."""

    matrix: Tensor
    offset: Tensor

    def generate(self, z: Tensor) -> Tensor:
        return z @ self.matrix.mT + self.offset

    def latent(self) -> Space:
        return Space(("row", "latent"), (1, self.matrix.shape[1]), self.matrix.dtype)


@dataclass(kw_only=True)
class CsgmState(State):
    z: Tensor


class Csgm(Solver):
    """Minimises ½‖A G(z) − y‖² + ½ weight ‖z‖² by gradient descent on z."""

    needs = Needs(prior=(Generative,), priors=range(1, 2))
    stop = Stop(5000)
    minimises = False  # the objective that it lowers is of z

    def __init__(self, length: float) -> None:
        self.length = length

    def start(self, problem, x0=None):
        z = problem.zeros(problem.priors[0].latent())
        return CsgmState(x=problem.priors[0].generate(z), z=z)

    def step(self, problem, state):
        generator = problem.priors[0]
        x, pull = torch.func.vjp(generator.generate, state.z)
        (gradient,) = pull(problem.data_gradient(x))
        z = owned_add(state.z, gradient + WEIGHT * state.z, -self.length)
        return CsgmState(x=generator.generate(z), iteration=state.iteration + 1, z=z)


@pytest.fixture(params=[torch.float64, torch.complex128])
def case(request):
    dtype = request.param
    generator = LinearGenerator(random(12, 3, seed=1, dtype=dtype), random(12, seed=2, dtype=dtype))
    matrix, y = random(6, 12, seed=3, dtype=dtype), random(2, 1, 6, seed=4, dtype=dtype)
    together = matrix @ generator.matrix
    normal = together.mH @ together + WEIGHT * torch.eye(3, dtype=dtype)
    z = torch.linalg.solve(normal, together.mH @ (y[:, 0] - generator.offset @ matrix.mT).mT).mT[:, None]
    length = 1.9 / float(torch.linalg.eigvalsh(normal)[-1])
    return Problem(y, Rows(matrix[None]), priors=(generator,)), Csgm(length), generator.generate(z)


def test_it_arrives_at_the_closed_form(case, agreement):
    """(WᴴAᴴAW + λI)⁻¹ WᴴAᴴ(y − Ab)."""
    problem, solver, expected = case
    error = largest_error(solve(solver, problem).x, expected)
    reason = "gradient descent gains a constant factor a step until rounding stops it"
    agreement("CSGM, of the tests", "its closed form for a linear generator", error, 1e-10, reason)


def test_the_latent_point_is_saved_with_the_image(case, tmp_path):
    problem, solver, _ = case
    save_state(solve(solver, problem, Stop(20)), tmp_path / "state.safetensors")
    resumed = load_state(solver.start(problem), tmp_path / "state.safetensors")
    assert torch.equal(solve(solver, problem, Stop(40), state=resumed).x, solve(solver, problem, Stop(40)).x)
