"""Laws of every call of an operator, a prior or a likelihood: pure, batched, of any precision, on any device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from preimage.errors import SpaceError
from preimage.movable import Movable
from preimage.space import Blocks, leaves
from preimage.testing.comparing import DOUBLE, SINGLE, expect_close
from preimage.testing.examples import Call
from preimage.testing.law import LawBroken, Laws

CALLS = Laws()

N_BATCH = 3
IN_SINGLE = 1e-3
"""Double against single precision: 100 ε of rounding, times the condition of an inverse. Numbers of half precision or a
single-precision constant in a formula show elsewhere, by 1e-12 in double precision."""


class Example(Protocol):
    """An example of a part with calls."""

    @property
    def part(self) -> Any:
        """What was made."""
        ...

    def calls(self, batch: tuple[int, ...] = (), dtype: torch.dtype = DOUBLE, device: Any = None) -> Iterator[Call]:
        """Yield its calls."""
        ...


@CALLS.each
def result(example: Example) -> None:
    """A call gives an element of its space: of its dims, its lengths and its dtype."""
    with torch.no_grad():
        for call in example.calls():
            if call.space is not None:
                try:
                    call.space.check(call())
                except SpaceError as error:
                    raise LawBroken(f"{call.name} gives no element of its space: {error}") from None


@CALLS.each
def purity(example: Example) -> None:
    """A call changes neither its argument nor the part, and a second one gives the same."""
    for call in example.calls():
        held = list(part.tensors()) if isinstance(part := example.part, Movable) else []
        watched = [*held, *(leaf for argument in call.arguments for leaf in leaves_of(argument))]
        before = [tensor.clone() for tensor in watched]
        for recording in (False, True):
            with torch.set_grad_enabled(recording):
                first = copied(call())
                second = call()
            if any(not torch.equal(now, then) for now, then in zip(watched, before, strict=True)):
                whose = "a tensor of its own" if _changed(held, before) else "its argument"
                raise LawBroken(f"{call.name} changes {whose}: an in-place operation on a tensor that it did not make?")
            same = all(torch.equal(a, b) for a, b in zip(leaves(first), leaves(second), strict=True))
            if not same:
                raise LawBroken(
                    f"two calls of {call.name} differ {_by(first, second)}: does a call leave something behind in the "
                    "part, or draw random numbers?"
                )
        with torch.no_grad():
            plain = call()
        expect_close(first, plain, f"{call.name} with and without recording gradients", "an in-place path of its own?")


@CALLS.each
def batched(example: Example) -> None:
    """A batch gives what its elements give one by one; a value is the sum of theirs."""
    with torch.no_grad():
        for call in example.calls((N_BATCH,)):
            together, alone = call(), [call.element(i) for i in range(N_BATCH)]
            message = f"{call.name} of a batch and of its elements one by one"
            if call.space is None:
                expect_close(together, torch.stack(alone).sum(), message, "values are summed over the batch")
            else:
                expect_close(together, _stacked(alone), message, "is an axis counted from the left?")


@CALLS.each
def precision(example: Example) -> None:
    """Single precision gives single precision, double gives double, and both give the same numbers."""
    with torch.no_grad():
        for exact, single in zip(example.calls(dtype=DOUBLE), example.calls(dtype=SINGLE), strict=True):
            one, other = exact(), single()
            for call, result, dtype in ((exact, one, DOUBLE), (single, other, SINGLE)):
                _expect_dtype(call, result, dtype)
            expect_close(other, one, f"{exact.name} in single and in double precision", tolerance=IN_SINGLE)


@CALLS.each
def meta(example: Example) -> None:
    """One application on the device "meta", which finds most mistakes that would show on a GPU alone."""
    with torch.no_grad():
        for call in example.calls(device="meta"):
            try:
                result = call()
            except (RuntimeError, NotImplementedError, TypeError) as error:
                reason = str(error).splitlines()[0]
                raise LawBroken(
                    f'{call.name} fails on the device "meta" ({reason}): a tensor made without device=x.device, values '
                    "read on the host (.item(), .cpu(), an if on values), or a tensor that .to() does not find?"
                ) from None
            for leaf in leaves(result):
                if leaf.device.type != "meta":
                    raise LawBroken(f'{call.name} returns a tensor on {leaf.device} for one on "meta": hidden .cpu()?')
            if call.space is not None:
                call.space.check(result)


def leaves_of(argument: Any) -> list[Tensor]:
    """The tensors of an argument; none of a number."""
    return leaves(argument) if isinstance(argument, Tensor | Blocks) else []


def copied(x: Any) -> Any:
    """A copy that shares no memory."""
    return x.detach().clone()


def _changed(held: list[Tensor], before: list[Tensor]) -> bool:
    return any(not torch.equal(now, then) for now, then in zip(held, before, strict=False))


def _by(first: Any, second: Any) -> str:
    worst = max(float((a - b).detach().abs().max()) for a, b in zip(leaves(first), leaves(second), strict=True))
    return f"by up to {worst:.1e}"


def _stacked(elements: list[Any]) -> Any:
    if isinstance(elements[0], Blocks):
        return Blocks({name: torch.stack([element[name] for element in elements]) for name in elements[0]})
    return torch.stack(elements)


def _expect_dtype(call: Call, result: Any, dtype: torch.dtype) -> None:
    if call.space is None:
        if result.ndim or result.dtype != dtype:
            raise LawBroken(f"{call.name} is {result.dtype} of shape {tuple(result.shape)}, not a 0-dim {dtype}")
        return
    try:
        call.space.check(result)
    except SpaceError as error:
        raise LawBroken(f"{call.name} in {dtype} gives no element of the space it should: {error}") from None
