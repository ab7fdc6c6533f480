"""Small problems with known solutions, on which the laws of the solvers are checked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from preimage.movable import Movable
from preimage.operators import Identity, LinearOperator, Norm, Operator, hstack
from preimage.problem import Problem
from preimage.randomness import Draw
from preimage.space import Blocks, ProductSpace, Space
from preimage.testing import Solved
from preimage_variational.priors.l1 import L1Norm
from preimage_variational.priors.tikhonov import Tikhonov
from preimage_variational.priors.total_variation import TotalVariation
from preimage_variational.transforms.differences import Differences

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

    def solve_normal(self, rhs: Tensor, damping: Any) -> Tensor:
        """By the eigenvectors of AᴴA."""
        values, vectors = torch.linalg.eigh(self.matrix.mH @ self.matrix)
        if isinstance(damping, Tensor) and damping.ndim:
            damping = damping.flatten(-len(self.shape))
        coefficients = rhs.flatten(-len(self.shape)) @ vectors.conj()
        return self._image((coefficients / (values + damping)) @ vectors.mT)

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


def of_several_terms() -> Iterator[Solved]:
    """Problems that split: a composite prior, two priors, two unknowns, and data whose term is not quadratic."""
    yield two_plateaus(0.3)
    y = IMAGE.randn(torch.Generator().manual_seed(2))
    shrunk = L1Norm(0.5 / (4 + 0.8)).prox(2 * y / (4 + 0.8), 1.0)
    yield Solved(y, 2 * Identity(IMAGE), priors=(L1Norm(0.5), Tikhonov(0.8)), solution=shrunk)
    yield two_unknowns()
    yield Solved(
        y, 2 * Identity(IMAGE), Deviation(), (Tikhonov(3.0),), solution=y / y.abs() * (y.abs() / 2).clamp(max=2 / 3)
    )


def two_plateaus(weight: float) -> Solved:
    """½‖x − y‖² + weight · TV(x) of a complex step: each plateau moves towards the other by weight over its length."""
    space = Space(("x",), (7,), torch.complex128)
    y = torch.tensor([1] * 3 + [1 + 2j] * 4, dtype=space.dtype)
    moved = weight * 1j * torch.tensor([1 / 3] * 3 + [-1 / 4] * 4, dtype=space.dtype)
    prior = TotalVariation(Differences(space, space.dims), weight)
    return Solved(y, Identity(space), priors=(prior,), solution=y + moved)


def two_unknowns() -> Solved:
    """½‖image + 2·field − y‖² with a prior on the image, one on both, and one on the differences of the field."""
    operator = hstack(image=Identity(IMAGE), field=2 * Identity(IMAGE))
    y = IMAGE.randn(torch.Generator().manual_seed(3))
    differences = Differences(IMAGE, ("z", "x"))
    priors = (Tikhonov(0.5), Tikhonov(0.2), SquaredDifferences(differences, 0.7))
    n = math.prod(IMAGE.shape)
    identity = torch.eye(n, dtype=IMAGE.dtype)
    curved = differences.normal(identity.reshape(n, *IMAGE.shape)).reshape(n, n)
    rows = [torch.cat([1.7 * identity, 2 * identity], 1), torch.cat([2 * identity, 4.2 * identity + 0.7 * curved], 1)]
    image, field = torch.linalg.solve(torch.cat(rows), torch.cat([y.flatten(), 2 * y.flatten()])).chunk(2)
    solution = Blocks(image=image.reshape(IMAGE.shape), field=field.reshape(IMAGE.shape))
    return Solved(y, operator, priors=priors, on=("image", None, "field"), solution=solution)


class SquaredDifferences(Movable):
    """½ weight ‖Dx‖², as a composite prior.

    Parameters
    ----------
    differences : D.
    weight : what it counts.
    """

    def __init__(self, differences: Differences, weight: float) -> None:
        self.differences = differences
        self.norm = Tikhonov(weight)

    def value(self, x: Tensor) -> Tensor:
        """½ weight ‖Dx‖²."""
        return self.norm.value(self.differences(x))

    def split(self) -> tuple[Tikhonov, Differences]:
        """½ weight ‖·‖² and D."""
        return self.norm, self.differences


class Deviation(Movable):
    """A likelihood that outliers do not impress: Σ|u − y|."""

    scale_equivariant = False

    def value(self, u: Tensor, y: Tensor) -> Tensor:
        """Σ|u − y|."""
        return (u - y).abs().sum()

    def grad(self, u: Tensor, y: Tensor) -> Tensor:
        """The phase of u − y; 0 where they agree."""
        return (u - y).sgn()

    def prox(self, u: Tensor, y: Tensor, step: Any) -> Tensor:
        """U, moved towards y by the step at most."""
        return y + L1Norm(1.0).prox(u - y, step)

    def sample(self, u: Tensor, draw: Draw) -> Tensor:
        """Return u itself: nobody draws from it."""
        return u.clone()


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


class Factors(Operator):
    """y = (B · kernel) ⊙ (A · image): a convolution of two unknowns in the Fourier domain, each in a subspace.

    Parameters
    ----------
    of_kernel : B, (m, k).
    of_image : A, (m, n).
    """

    multilinear = True
    ambiguity = frozenset({"scale"})

    def __init__(self, of_kernel: Tensor, of_image: Tensor) -> None:
        (m, k), (_, n) = of_kernel.shape, of_image.shape
        dtype = of_kernel.dtype
        super().__init__(
            ProductSpace(kernel=Space(("k",), (k,), dtype), image=Space(("n",), (n,), dtype)),
            Space(("sample",), (m,), dtype),
        )
        self.of_kernel = of_kernel
        self.of_image = of_image

    def _apply(self, x: Blocks) -> Tensor:
        return (x["kernel"] @ self.of_kernel.mT) * (x["image"] @ self.of_image.mT)

    def initial(self, y: Tensor, seed: int = 0) -> Blocks:
        """All ones, whatever the data: what follows depends on them by the steps alone."""
        zero: Any = self.domain.zeros(self.codomain.batch(y), y.device)
        return Blocks({name: part + 1 for name, part in zero.items()})


def two_factors() -> Problem:
    """Data of two unknowns of which either is determined when the other is known."""
    generator = torch.Generator().manual_seed(5)
    of_kernel, of_image = (torch.randn(12, n, dtype=torch.complex128, generator=generator) / 3 for n in (2, 3))
    operator = Factors(of_kernel, of_image)
    truth = operator.domain.randn(generator)
    noise: Any = operator.codomain.randn(generator)
    return Problem(operator(truth) + 0.1 * noise, operator)
