"""Forward operators: the physics A of y = A(x) + noise."""

from preimage.operators.algebra import Identity, block_diag, hstack, vstack
from preimage.operators.base import Operator
from preimage.operators.capabilities import (
    SVD,
    HasSVD,
    MaskedTransform,
    Multilinear,
    NormalSolvable,
    PseudoInvertible,
)
from preimage.operators.linear import LinearOperator
from preimage.operators.norm import Norm, power_iteration

__all__ = [
    "SVD",
    "HasSVD",
    "Identity",
    "LinearOperator",
    "MaskedTransform",
    "Multilinear",
    "Norm",
    "NormalSolvable",
    "Operator",
    "PseudoInvertible",
    "block_diag",
    "hstack",
    "power_iteration",
    "vstack",
]
