"""Comparing what was found with what should be, by how much and by which factor they differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from preimage.space import AnySpace, Blocks, Element, Space, leaves
from preimage.testing.law import LawBroken

DOUBLE = torch.float64
SINGLE = torch.float32

EXACT = 1e-12
"""Rounding of double precision. The errors of a sum of n terms add up to about √n·ε, of an FFT to log n·ε: for
examples of some thousand elements below 100 ε, here 4500 ε, and far below any mistake in a formula."""
EXACT_SINGLE = 1e-5
"""The same in single precision, where ε = 1.2e-7: 80 ε."""
SLOPE = 1e-5
"""Of a central difference with h = 1e-5: its truncation is h² = 1e-10 times a third derivative, which may be large
for a few elements near a kink, and its rounding ε/h = 2e-11."""


def generator(seed: int = 0) -> torch.Generator:
    """A stream of random numbers: laws draw the same ones in every process."""
    return torch.Generator().manual_seed(seed)


def vector(x: Element) -> Tensor:
    """All numbers of an element as a real vector, real and imaginary parts apart."""
    parts = [torch.view_as_real(part.resolve_conj()) if part.is_complex() else part for part in leaves(x)]
    return torch.cat([part.reshape(-1) for part in parts])


def from_vector(space: AnySpace, numbers: Tensor) -> Any:
    """The element, without batch, whose `vector` this is."""
    if isinstance(space, Space):
        if space.is_complex:
            return torch.view_as_complex(numbers.reshape(*space.shape, 2))
        return numbers.reshape(space.shape)
    parts, start = {}, 0
    for name, part in space.items():
        length = size(part)
        parts[name] = from_vector(part, numbers[start : start + length])
        start += length
    return Blocks(parts)


def size(space: AnySpace) -> int:
    """How many real numbers an element has."""
    if isinstance(space, Space):
        return math.prod(space.shape) * (2 if space.is_complex else 1)
    return sum(size(part) for part in space.values())


def all_complex(space: AnySpace) -> bool:
    """Whether every part of an element is complex."""
    return space.is_complex if isinstance(space, Space) else all(part.is_complex for part in space.values())


def length(x: Element) -> float:
    """‖x‖ over everything, batch too."""
    return float(torch.linalg.vector_norm(vector(x.detach())))


def dot(u: Element, v: Element) -> Tensor:
    """Re ⟨u, v⟩ over everything, batch too."""
    return torch.dot(vector(u), vector(v))


def at(x: Any, index: int) -> Any:
    """One element of a batch; numbers are the same for all elements."""
    if isinstance(x, Blocks):
        return Blocks({name: part[index] for name, part in x.items()})
    return x[index] if isinstance(x, Tensor) and x.ndim else x


def slope(function: Callable[[Any], Any], x: Any, along: Any) -> Any:
    """The derivative of a function at x along a direction, by a central difference in double precision."""
    h = 1e-5 * (length(x) or 1.0) / length(along)
    with torch.no_grad():
        return (function(x + along * h) - function(x - along * h)) * (1 / (2 * h))


def gradient(function: Callable[[Any], Tensor], x: Any, *, create_graph: bool = False) -> Any:
    """What autograd gives for a real function: for complex x ∂/∂Re + i ∂/∂Im. Zero where no gradient arrives."""
    with torch.enable_grad():
        inputs = [part.detach().clone().requires_grad_() for part in leaves(x)]
        value = function(Blocks(zip(x, inputs, strict=True)) if isinstance(x, Blocks) else inputs[0])
        if value.requires_grad:
            found = torch.autograd.grad(value, inputs, create_graph=create_graph, materialize_grads=True)
        else:
            found = tuple(torch.zeros_like(part) for part in inputs)
    return Blocks(zip(x, found, strict=True)) if isinstance(x, Blocks) else found[0]


def expect_same_number(
    found: Tensor, expected: Tensor, message: str, cause: str = "", *, scale: float, tolerance: float = SLOPE
) -> None:
    """Raise `LawBroken` unless two real numbers differ by no more than tolerance · scale."""
    expect_close(found.reshape(1), expected.reshape(1), message, cause, tolerance=tolerance, scale=scale)


def expect_close(
    found: Any, expected: Any, message: str, cause: str = "", *, tolerance: float = EXACT, scale: float | None = None
) -> None:
    """Raise `LawBroken` unless ‖found − expected‖ ≤ tolerance · scale; infinities that are equal do not differ.

    Parameters
    ----------
    message : what is compared, such as "A(x) of a batch and of its elements one by one".
    cause : what is probably wrong; printed after the numbers.
    scale : the size that an error is relative to; by default that of the finite values of ‖expected‖, or of ‖found‖
        where it is larger.
    """
    shapes = [[tuple(part.shape) for part in leaves(x)] for x in (found, expected)]
    if shapes[0] != shapes[1]:
        raise LawBroken(f"{message} have the shapes {_plain(shapes[0])} and {_plain(shapes[1])}{_because(cause)}")
    one, other = vector(found.detach()).to(DOUBLE), vector(expected.detach()).to(DOUBLE)
    error = float(torch.linalg.vector_norm(torch.where(one == other, 0, one - other)))
    size = max(_finite_length(one), _finite_length(other)) if scale is None else scale
    if not (error <= tolerance * size and math.isfinite(error)):  # also where either is not a number
        raise LawBroken(
            f"{message} differ {factor_off(found, expected)}: "
            f"relative error {error / size if size else math.inf:.1e}, allowed {tolerance:.0e}{_because(cause)}"
        )


def factor_off(found: Element, expected: Element) -> str:
    """By which factor two elements differ, if it is one factor."""
    one, other = _complex_vector(found), _complex_vector(expected)
    if not bool(torch.isfinite(one.abs()).all() and torch.isfinite(other.abs()).all()):
        return "(there are values that are not finite)"
    energy = torch.vdot(other, other).real
    if energy == 0 or not bool(one.any()):
        return "(one of them is zero)"
    factor = complex(torch.vdot(other, one) / energy)
    if torch.linalg.vector_norm(one - factor * other) < 1e-6 * torch.linalg.vector_norm(one):
        return f"by the factor {show(factor)}"
    if torch.linalg.vector_norm(one - other.conj()) < 1e-6 * torch.linalg.vector_norm(one):
        return "by a complex conjugate"
    return "by no common factor"


def show(number: complex) -> str:
    """A factor, with its imaginary part where it has one."""
    if abs(number.imag) <= 1e-6 * abs(number):
        return f"{number.real:.4g}"
    return f"{number:.4g}"


def _finite_length(numbers: Tensor) -> float:
    return float(torch.linalg.vector_norm(numbers[numbers.isfinite()]))


def _complex_vector(x: Element) -> Tensor:
    return torch.cat([part.detach().reshape(-1).to(torch.complex128) for part in leaves(x)])


def _plain(shapes: list[tuple[int, ...]]) -> str:
    return " ".join(map(str, shapes))


def _because(cause: str) -> str:
    return f": {cause}" if cause else ""
