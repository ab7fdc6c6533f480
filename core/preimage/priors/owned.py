"""A prox that may write over its argument."""

from __future__ import annotations

from typing import Any

import torch

from preimage.priors.capabilities import Proximable


def owned_prox(part: Proximable, x: Any, step: Any) -> Any:
    """prox(x, step), for an x that belongs to the caller and is not needed again; the companion of `owned_add`.

    A prior that can do with the memory of x says so by a method `prox_(x, step)`, which writes the result over x and
    returns it. It is used where no gradient is recorded and x is contiguous.
    """
    in_place = getattr(part, "prox_", None)
    if in_place is None or torch.is_grad_enabled() or not x.is_contiguous():
        return part.prox(x, step)
    return in_place(x, step)
