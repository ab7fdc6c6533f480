"""Small problems with known solutions, on which the laws of the solvers are checked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from preimage.operators import Identity, LinearOperator, Norm
from preimage.problem import Problem
from preimage.space import Space
from preimage.testing import Solved
from preimage_variational.priors.l1 import L1Norm

IMAGE = Space(("z", "y", "x"), (3, 1, 2), torch.complex128)


class Dense(LinearOperator):
    """A matrix on the pixels of an image.

    Parameters
    ----------
    matrix : (m, pixels)
    """

    def __init__(self, matrix: Tensor, domain: Space) -> None:
        super().__init__(domain, Space(("sample",), (len(matrix),), domain.dtype))
        self.matrix = matrix
        self.shape = domain.shape

    def _apply(self, x: Tensor) -> Tensor:
        return x.flatten(-len(self.shape)) @ self.matrix.mT

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return self._image(y @ self.matrix.conj())

    def _bound(self) -> Norm:
        return Norm(float(torch.linalg.matrix_norm(self.matrix, 2)), "exact")

    def pinv(self, y: Tensor) -> Tensor:
        """By a dense pseudo-inverse."""
        return self._image(y @ torch.linalg.pinv(self.matrix).mT)

    def _image(self, pixels: Tensor) -> Tensor:
        return pixels.reshape(*pixels.shape[:-1], *self.shape)


def problems() -> Iterator[Any]:
    """More data than pixels, fewer, and a rank below both; each has an `operator.matrix`."""
    generator = torch.Generator().manual_seed(0)
    pixels = math.prod(IMAGE.shape)
    for m, rank in ((9, pixels), (4, 4), (7, 3)):
        u, _, vh = torch.linalg.svd(torch.randn(m, pixels, dtype=IMAGE.dtype, generator=generator), full_matrices=False)
        singular = torch.linspace(1.5, 0.5, rank, dtype=torch.float64)
        y = torch.randn(m, dtype=IMAGE.dtype, generator=generator)
        yield Problem(y, Dense((u[:, :rank] * singular) @ vh[:rank], IMAGE))


def with_empty_element() -> Problem:
    """A batch of two, of which one has no data: its solution is 0, and never 0/0."""
    operator = 2j * Identity(IMAGE)
    y = IMAGE.randn(torch.Generator().manual_seed(1), batch=(2,))
    return Problem(torch.stack([y[0], torch.zeros_like(y[1])]), operator)


def soft_threshold(weight: float) -> Solved:
    """½‖2x − y‖² + weight ‖x‖₁, whose solution is y/2 with the threshold weight/4."""
    y = IMAGE.randn(torch.Generator().manual_seed(2))
    prior = L1Norm(weight)
    return Solved(y, 2 * Identity(IMAGE), priors=(prior,), solution=L1Norm(weight / 4).prox(y / 2, 1.0))


def least_squares(problem: Any, damping: float) -> Tensor:
    """The pixels of the solution of ½‖Ax − y‖² + ½ damping ‖x‖², of minimum norm where there are several."""
    matrix = problem.operator.matrix
    damped = matrix.mH @ matrix + damping * torch.eye(matrix.shape[1], dtype=matrix.dtype)
    pixels: Tensor = torch.linalg.pinv(damped) @ matrix.mH @ problem.y
    return pixels


def solved(problem: Problem, pixels: Tensor) -> Solved:
    """The problem together with its solution."""
    return Solved(problem.y, problem.operator, priors=problem.priors, solution=pixels.reshape(IMAGE.shape))


def with_prior(problem: Problem, prior: Any, pixels: Tensor | None = None) -> Problem:
    """The problem with a prior, and with its solution where that is given."""
    regularised = replace(problem, priors=(prior,), on=(None,))
    return regularised if pixels is None else solved(regularised, pixels)
