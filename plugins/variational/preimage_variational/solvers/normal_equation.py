"""Conjugate gradients inside another iteration: a stated number of steps from a warm start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from preimage.space import owned_add, owned_aypx, safe_divide

ROUNDING = 10
"""Rounding errors, in units of the machine epsilon, below which a residual says nothing."""


def solve_by_conjugate_gradients(
    space: Any, hessian: Callable[[Any, Any], Any], target: Any, x: Any, n_iterations: int
) -> Any:
    """Go towards the x of hessian(x) = target.

    An element of a batch that has arrived stays, so that the number of iterations may be larger than it needs.

    Parameters
    ----------
    space : of x.
    hessian : (x, spare) ↦ the Hessian of x, for a positive semidefinite one; it may write over spare.
    target : the gradient at 0, negative; it and x belong to the caller and are not needed again.
    x : where to start.
    """
    rounding = (ROUNDING * torch.finfo(space.squared_norm(target).dtype).eps) ** 2 * space.squared_norm(target)
    curved = hessian(x, x.clone())
    residual = owned_add(target, curved, -1)
    direction = residual.clone()
    norm2 = space.squared_norm(residual)
    for _ in range(n_iterations):
        norm2 = torch.where(norm2 > rounding, norm2, 0)  # 0 stops all movement
        curved = hessian(direction, curved)
        length = safe_divide(norm2, space.inner(direction, curved).real)
        x = owned_add(x, direction, length)
        residual = owned_add(residual, curved, -length)
        following2 = space.squared_norm(residual)
        direction = owned_aypx(direction, residual, safe_divide(following2, norm2))
        norm2 = following2
    return x
