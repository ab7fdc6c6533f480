"""The state of an iteration."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(kw_only=True)
class State:
    """What a step hands to the next. Solvers add fields: tensors, Blocks, numbers, a `Seed`, nested states.

    Attributes
    ----------
    x : the image, also for latent methods and samplers.
    iteration : number of steps taken.
    change : what a tolerance is compared with, (*batch,), where the solver has it for free; else None, and
        the loop measures ‖x_{k+1} − x_k‖ / ‖x_{k+1}‖ itself.
    done : which elements of a batch have arrived, (*batch,); the loop's, and only with a tolerance.
    """

    x: Any
    iteration: int = 0
    change: Tensor | None = None
    done: Tensor | None = None


def map_tensors(function: Callable[..., Tensor], value: Any, *others: Any) -> Any:
    """Apply a function to every tensor of a state, paired with the tensors of other states of its form."""
    if isinstance(value, Tensor):
        return function(value, *others)
    if isinstance(value, dict):
        return type(value)(
            {name: map_tensors(function, part, *(o[name] for o in others)) for name, part in value.items()}
        )
    if type(value) in (list, tuple):
        return type(value)(map_tensors(function, part, *(o[i] for o in others)) for i, part in enumerate(value))
    if isinstance(value, State):
        parts = {
            f.name: map_tensors(function, getattr(value, f.name), *(getattr(o, f.name) for o in others))
            for f in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **parts)
    return value


def hollow(state: State) -> Any:
    """A state of the same form that holds no memory, such as a template to load another into."""
    return map_tensors(lambda tensor: tensor.new_zeros(()).expand(tensor.shape), state)
