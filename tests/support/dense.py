"""Small operators with a dense matrix, an oracle for everything that is said of them."""

from __future__ import annotations

import torch

from preimage.operators import SVD, LinearOperator, Operator
from preimage.space import Blocks, ProductSpace, Space


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Matrix(LinearOperator):
    """y = M x, with everything that a dense matrix offers."""

    def __init__(self, matrix, names=("n", "m")):
        super().__init__(
            Space((names[0],), (matrix.shape[-1],), matrix.dtype), Space((names[1],), (matrix.shape[-2],), matrix.dtype)
        )
        self.matrix = matrix

    def _apply(self, x):
        return (self.matrix @ x.unsqueeze(-1)).squeeze(-1)

    def _apply_adjoint(self, y):
        return (self.matrix.mH @ y.unsqueeze(-1)).squeeze(-1)

    def solve_normal(self, rhs, damping):
        m, eye = self.matrix, torch.eye(self.matrix.shape[-1], dtype=self.matrix.dtype)
        return torch.linalg.solve(m.mH @ m + damping * eye, rhs.unsqueeze(-1)).squeeze(-1)

    def pinv(self, y):
        return (torch.linalg.pinv(self.matrix) @ y.unsqueeze(-1)).squeeze(-1)

    def svd(self):
        u, s, vh = torch.linalg.svd(self.matrix)
        n, m = self.matrix.shape[-1], self.matrix.shape[-2]
        padded = torch.zeros(n, dtype=s.dtype)
        padded[: len(s)] = s
        uh = torch.zeros(n, m, dtype=u.dtype)
        uh[: len(s)] = u.mH[: len(s)]
        return SVD(Matrix(vh.mH, ("spectrum", "n")), padded, Matrix(uh, ("m", "spectrum")))


class MaskedFourier(LinearOperator):
    """y = M F x with a unitary FFT: A = P(Λ)T."""

    def __init__(self, mask, dtype=torch.complex128):
        space = Space(("n",), tuple(mask.shape), dtype)
        super().__init__(space, Space(("k",), tuple(mask.shape), dtype))
        self.mask = mask

    def _apply(self, x):
        return torch.fft.fft(x, norm="ortho") * self.mask

    def _apply_adjoint(self, y):
        return torch.fft.ifft(y * self.mask, norm="ortho")

    def transform(self, x):
        return torch.fft.fft(x, norm="ortho")

    def inverse_transform(self, spectrum):
        return torch.fft.ifft(spectrum, norm="ortho")

    def sampling_mask(self):
        return self.mask


class RealPart(LinearOperator):
    """The real part of a complex image: linear over the reals only."""

    complex_linear = False

    def __init__(self, n=5):
        super().__init__(Space(("n",), (n,), torch.complex128), Space(("n",), (n,), torch.float64))

    def _apply(self, x):
        return x.real.clone()

    def _apply_adjoint(self, y):
        return y.to(self.domain.dtype)


class Intensity(Operator):
    """y = |Mx|²: nonlinear, blind to a global phase."""

    ambiguity = frozenset({"phase"})

    def __init__(self, linear):
        super().__init__(linear.domain, Space(("m",), linear.codomain.shape, linear.codomain.dtype.to_real()))
        self.linear = linear

    def _apply(self, x):
        return self.linear(x).abs().square()


class Product(Operator):
    """y = a·b elementwise: linear in each of two unknowns."""

    multilinear = True

    def __init__(self, n=6):
        space = Space(("n",), (n,), torch.complex128)
        super().__init__(ProductSpace(a=space, b=space), space)

    def _apply(self, x):
        return x["a"] * x["b"]


def dense(operator):
    """The matrix of a complex-linear operator between plain spaces, column by column."""
    n = operator.domain.zeros().numel()
    columns = torch.eye(n, dtype=operator.domain.dtype).reshape(n, *operator.domain.shape)
    return operator(columns).reshape(n, -1).T


def random_blocks(space, seed=0):
    assert isinstance(space, ProductSpace)
    drawn = space.randn(generator(seed))
    assert isinstance(drawn, Blocks)
    return drawn
