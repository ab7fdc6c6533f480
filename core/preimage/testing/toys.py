"""Toy problems that offer everything a solver may ask for, with dense matrices behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from preimage.likelihoods import Gaussian
from preimage.movable import Movable
from preimage.operators import SVD, Identity, LinearOperator, Norm
from preimage.problem import Problem
from preimage.space import AnySpace, Space
from preimage.testing.comparing import DOUBLE, generator

N, M, N_ROWS = 4, 6, 5
"""Unknowns and data of a row, and rows."""


@dataclass(frozen=True)
class Solved(Problem):
    """A problem whose answer is known: what a solver should arrive at.

    Attributes
    ----------
    solution : an element of the solver's result space.
    """

    solution: Any = None


class Rows(LinearOperator):
    """y_r = M_r x_r, a matrix for every row: rows are independent.

    Parameters
    ----------
    matrices : (row, m, n)
    dims : names of the dims n and m.
    """

    def __init__(self, matrices: Tensor, dims: tuple[str, str] = ("n", "m")) -> None:
        n_rows, m, n = matrices.shape
        super().__init__(
            Space(("row", dims[0]), (n_rows, n), matrices.dtype), Space(("row", dims[1]), (n_rows, m), matrices.dtype)
        )
        self.matrices = matrices

    def _apply(self, x: Tensor) -> Tensor:
        return _times(self.matrices, x)

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return _times(self.matrices.mH, y)

    def _bound(self) -> Norm:
        return Norm(float(torch.linalg.matrix_norm(self.matrices, 2).max()), "exact")

    def solve_normal(self, rhs: Tensor, damping: Any) -> Tensor:
        """By LU of every row's matrix."""
        identity = torch.eye(self.matrices.shape[-1], dtype=rhs.dtype, device=rhs.device)
        weight = damping[..., None] if isinstance(damping, Tensor) and damping.ndim else damping
        return _solve(self.matrices.mH @ self.matrices + weight * identity, rhs)

    def pinv(self, y: Tensor) -> Tensor:
        """By a dense pseudo-inverse."""
        return _times(torch.linalg.pinv(self.matrices), y)

    def svd(self) -> SVD:
        """By a dense SVD; rounding makes singular values that are 0 tiny, so that these are set to 0."""
        u, s, vh = torch.linalg.svd(self.matrices, full_matrices=True)
        n, rank = vh.shape[-1], s.shape[-1]
        s = torch.where(s > 1e-12 * s.amax(-1, keepdim=True), s, 0)
        uh = torch.cat([u.mH[..., :rank, :], u.new_zeros(*s.shape[:-1], n - rank, u.shape[-1])], -2)
        s = torch.nn.functional.pad(s, (0, n - rank))
        return SVD(Rows(vh.mH, ("spectrum", "n")), s, Rows(uh * (s > 0)[..., None], ("m", "spectrum")))


class MaskedRows(Rows):
    """y_r = Λ_r T_r x_r with T_r invertible and Λ_r a mask: y is 0 where nothing is measured.

    Parameters
    ----------
    transforms : (row, n, n)
    mask : bool (row, n), True where measured.
    """

    def __init__(self, transforms: Tensor, mask: Tensor) -> None:
        super().__init__(mask[..., None] * transforms)
        self.transforms = transforms
        self.mask = mask

    def transform(self, x: Tensor) -> Tensor:
        """T x."""
        return _times(self.transforms, x)

    def inverse_transform(self, spectrum: Tensor) -> Tensor:
        """By LU."""
        return _solve(self.transforms, spectrum)

    def sampling_mask(self) -> Tensor:
        """Λ."""
        return self.mask


@dataclass(frozen=True)
class Quadratic(Movable):
    """R(x) = ½ weight ‖x‖²: −log of a Gaussian density in which every real number has the variance 1/weight."""

    space: AnySpace
    weight: float = 0.5
    convex = True
    phase_equivariant = True

    def value(self, x: Tensor) -> Tensor:
        """½ weight ‖x‖²."""
        return 0.5 * self.weight * x.abs().square().sum()

    def grad(self, x: Tensor) -> Tensor:
        """Weight · x."""
        return self.weight * x

    def lipschitz(self) -> float:
        """The weight."""
        return self.weight

    def prox(self, x: Tensor, step: Any) -> Tensor:
        """x / (1 + weight · step)."""
        shrunk: Tensor = x * (1 / (1 + self.weight * step))
        return shrunk

    def split(self) -> tuple[Quadratic, LinearOperator]:
        """Itself, after the identity."""
        return self, Identity(self.space)

    def denoise(self, x: Tensor, sigma: Any) -> Tensor:
        """The mean of what x may have been: σ² is the variance of two numbers where x is complex."""
        variance = (2 if x.is_complex() else 1) / self.weight
        mean: Tensor = x * (variance / (variance + sigma**2))
        return mean


@dataclass(frozen=True)
class Toy:
    """A family of small, well-conditioned problems y = A x + noise with independent rows and quadratic priors.

    Attributes
    ----------
    dtype : of everything, in double precision.
    n_priors : how many priors there are.
    masked : whether A is a masked unitary transform.
    """

    dtype: torch.dtype = torch.complex128
    n_priors: int = 1
    masked: bool = False

    def problem(self, scale: float = 1.0, rows: slice = slice(None)) -> Problem:
        """The problem of c·A, c·y and c²·R, which has the same answer for every scale c; of all rows or of a block."""
        operator = self._operator(scale, rows)
        truth, noise = self._drawn(0, N)[rows], self._drawn(1, N if self.masked else M)[rows]
        y = operator(truth) + 0.1 * scale * noise
        priors = tuple(Quadratic(operator.domain, 0.2 * scale**2 * (i + 1)) for i in range(self.n_priors))
        return Problem(y, operator, Gaussian(0.1 * scale), priors)

    def _operator(self, scale: float, rows: slice) -> Rows:
        """Singular values from 1 to ½, times a factor of the row: rows differ, as the blocks of a run do."""
        u, _, vh = torch.linalg.svd(self._drawn(2, M, N), full_matrices=False)
        if self.masked:
            mask = torch.rand(N_ROWS, N, generator=generator(3)) < 0.7
            return MaskedRows(scale * vh[rows], mask[rows])
        factors = scale * torch.linspace(0.6, 1, N_ROWS, dtype=DOUBLE)[rows, None, None]
        return Rows(factors * (u[rows] * torch.linspace(1, 0.5, N, dtype=DOUBLE)) @ vh[rows])

    def _drawn(self, seed: int, *shape: int) -> Tensor:
        return torch.randn(N_ROWS, *shape, dtype=self.dtype, generator=generator(seed))

    def __str__(self) -> str:
        """What distinguishes it."""
        field = "complex" if self.dtype.is_complex else "real"
        operator = "a masked transform" if self.masked else "matrices"
        return f"{field}, {operator}, {self.n_priors} prior{'' if self.n_priors == 1 else 's'}"


def _times(matrices: Tensor, x: Tensor) -> Tensor:
    return (matrices @ x[..., None]).squeeze(-1)


def _solve(matrices: Tensor, rhs: Tensor) -> Tensor:
    solution: Tensor = torch.linalg.solve(matrices, rhs[..., None])
    return solution.squeeze(-1)
