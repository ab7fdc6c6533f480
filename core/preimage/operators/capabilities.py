"""What an operator may offer beyond being applied, and what solvers ask for.

Each is a protocol of methods only, so that a class, an instance or the return annotation of a factory
can be asked; `Multilinear` is what a class says of itself. Ask with `preimage.offers(operator, Capability)`: wrappers
derive what they can.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from preimage.movable import Movable


class Multilinear(ABC):
    """Linear in each unknown while the others are held, by `multilinear = True`: alternating solvers."""

    @classmethod
    def __subclasshook__(cls, operator: type) -> bool:
        """Ask the class, which need not derive from this one."""
        return bool(getattr(operator, "multilinear", False))

    @abstractmethod
    def fix(self, **known: Any) -> Any:
        """The linear operator of the one unknown that is left when the others are `known`."""


@runtime_checkable
class NormalSolvable(Protocol):
    """(AᴴA + d·I)⁻¹ in closed form: ADMM, half-quadratic splitting, DiffPIR."""

    def solve_normal(self, rhs: Any, damping: Any) -> Any:
        """(AᴴA + damping·I)⁻¹ rhs, for an rhs in the domain and damping > 0, a number or (*batch, 1, …, 1)."""
        ...


@runtime_checkable
class PseudoInvertible(Protocol):
    """The Moore–Penrose inverse: minimum norm, DDNM, ΠGDM, the split into range and null space."""

    def pinv(self, y: Any) -> Any:
        """A⁺y, in the domain."""
        ...


@dataclass(frozen=True)
class SVD(Movable):
    """A = U diag(s) Vᴴ with V unitary on the whole domain: the null space has s = 0 and is never left out.

    Attributes
    ----------
    v : spectrum → domain, unitary; its adjoint is Vᴴ.
    s : real tensor that broadcasts over the spectrum, singular values ≥ 0.
    uh : Uᴴ, codomain → spectrum; 0 where s is 0.
    """

    v: Any
    s: Tensor
    uh: Any


@runtime_checkable
class HasSVD(Protocol):
    """A singular value decomposition that is cheap to apply: DDRM, spectral filters."""

    def svd(self) -> SVD:
        """The decomposition, computed once."""
        ...


@runtime_checkable
class MaskedTransform(Protocol):
    """A = P(Λ)T with T invertible and Λ a mask: score-based projection, MCG."""

    def transform(self, x: Any) -> Any:
        """T x."""
        ...

    def inverse_transform(self, spectrum: Any) -> Any:
        """T⁻¹ of a spectrum."""
        ...

    def sampling_mask(self) -> Tensor:
        """Λ: True where T x is measured; broadcasts over T x."""
        ...
