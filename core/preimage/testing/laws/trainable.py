"""The law of an operator's own tensors, such as sensitivities or a kernel that is learnt: gradients reach them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from preimage.errors import PreimageError
from preimage.movable import Movable
from preimage.operators import LinearOperator, Operator
from preimage.testing.comparing import dot, expect_same_number, generator, gradient, length, slope
from preimage.testing.examples import OperatorExample
from preimage.testing.law import Laws, NotOffered

TRAINABLE = Laws()


@TRAINABLE.each
def trainable(example: OperatorExample) -> None:
    """The gradient to each tensor that the operator holds equals finite differences, or asking for it is an error."""
    tensors = [(name, tensor) for name, tensor in named_tensors(example.operator) if _is_number(tensor)]
    checked = [_reached(name, tensor, *way, example.operator) for name, tensor in tensors for way in _ways(example)]
    if not any(checked):
        raise NotOffered("the operator holds no tensor that can be trained")


def named_tensors(operator: Operator) -> Iterator[tuple[str, Tensor]]:
    """The tensors that an operator holds, each with the name of the attribute that holds it."""
    for name, value in vars(operator).items():
        holder = Movable()
        vars(holder)[name] = value
        for tensor in holder.tensors():
            yield name, tensor


def _ways(example: OperatorExample) -> Iterator[tuple[str, Callable[[Any], Tensor]]]:
    """Real numbers that depend on all of the operator."""
    x, v, w = example.x(1), example.x(2), example.y(3)
    yield "Re ⟨A(x), w⟩", lambda operator: dot(operator(x), w)
    if isinstance(example.operator, LinearOperator):
        yield "Re ⟨Aᴴw, v⟩", lambda operator: dot(operator.adjoint(w), v)
        yield "Re ⟨AᴴA x, v⟩", lambda operator: dot(operator.normal(x), v)


def _reached(name: str, tensor: Tensor, way: str, number: Callable[[Any], Tensor], operator: Operator) -> bool:
    def of(own: Tensor) -> Tensor:
        # A copy that holds `own` in the place of the tensor: deepcopy takes what its memo has for an object.
        return number(copy.deepcopy(operator, {id(tensor): own}))

    try:
        found = gradient(of, tensor)
    except (PreimageError, NotImplementedError):
        return False  # refused in words: nothing is lost in silence
    along = torch.randn(tensor.shape, dtype=tensor.dtype, generator=generator(5)).to(tensor.device)
    expected = slope(of, tensor.detach(), along)
    expect_same_number(
        dot(found, along),
        expected,
        f"the gradient of {way} to the operator's {name!r} and a finite difference",
        "is the tensor detached, or used under no_grad?",
        scale=length(found) * length(along) + abs(float(expected)),
    )
    return True


def _is_number(tensor: Tensor) -> bool:
    return (tensor.is_floating_point() or tensor.is_complex()) and tensor.numel() > 0
