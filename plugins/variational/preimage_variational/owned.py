"""Operations that may write over their first argument, as `preimage.space.owned_add` does.

The first argument belongs to the caller and is not needed again. Its memory is reused where no gradient is
recorded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from preimage.operators import LinearOperator
from preimage.priors import owned_prox
from preimage.space import Blocks, Factor, owned_add
from preimage_variational.priors.group_norm import GroupNorm
from preimage_variational.transforms.differences import ALONG, Differences


def owned_lerp(y: Any, x: Any, weight: float) -> Any:
    """y + weight · (x − y): between y and x, and beyond x for a weight above 1."""
    if isinstance(y, Blocks):
        return Blocks({name: owned_lerp(part, x[name], weight) for name, part in y.items()})
    if torch.is_grad_enabled():
        return torch.lerp(y, x, weight)
    if y.is_complex():
        torch.view_as_real(y).lerp_(torch.view_as_real(x.resolve_conj()), weight)  # the complex one is slow
        return y
    return y.lerp_(x, weight)


def owned_copy(y: Any, x: Any) -> Any:
    """A copy of x."""
    if isinstance(y, Blocks):
        return Blocks({name: owned_copy(part, x[name]) for name, part in y.items()})
    return x.clone() if torch.is_grad_enabled() else y.copy_(x)


def owned_sum(y: Any, x: Any, z: Any, alpha: float) -> Any:
    """x + alpha · z."""
    if isinstance(y, Blocks):
        return Blocks({name: owned_sum(part, x[name], z[name], alpha) for name, part in y.items()})
    return x + alpha * z if torch.is_grad_enabled() else torch.add(x, z, alpha=alpha, out=y)


def owned_zero(y: Any) -> Any:
    """0 in the form of y."""
    if isinstance(y, Blocks):
        return Blocks({name: owned_zero(part) for name, part in y.items()})
    return torch.zeros_like(y) if torch.is_grad_enabled() else y.zero_()


def owned_add_applied(y: Any, linear: LinearOperator, x: Any, alpha: Factor) -> Any:
    """y + alpha · Kx. An operator K that needs no memory for Kx says so by a method `add_applied_(y, x, alpha)`."""
    in_place = getattr(linear, "add_applied_", None)
    if in_place is None or torch.is_grad_enabled() or isinstance(alpha, Tensor):
        return owned_add(y, linear(x), alpha)
    return in_place(y, x, alpha)


def owned_add_adjoint(x: Any, linear: LinearOperator, y: Any, alpha: Factor) -> Any:
    """x + alpha · Kᴴy. An operator K that needs no memory for Kᴴy has a method `add_adjoint_(x, y, alpha)`."""
    in_place = getattr(linear, "add_adjoint_", None)
    if in_place is None or torch.is_grad_enabled() or isinstance(alpha, Tensor):
        return owned_add(x, linear.adjoint(y), alpha)
    return in_place(x, y, alpha)


def owned_ascent(part: Any, linear: LinearOperator, y: Any, x: Any, step: float) -> Any:
    """Prox of step · g* at y + step · Kx; piece by piece where that is known to be the same."""
    if isinstance(linear, Differences) and _by_pixel(part, linear) and not torch.is_grad_enabled():
        return linear.add_applied_(y, x, step, lambda piece: part.conjugate_prox_(piece, step))
    return owned_conjugate_prox(part, owned_add_applied(y, linear, x, step), step)


def _by_pixel(part: Any, differences: Differences) -> bool:
    """Whether a part is a sum over pixels of norms of their differences."""
    return isinstance(part, GroupNorm) and part.axis in (None, differences.codomain.axis(ALONG))


def owned_conjugate_prox(part: Any, y: Any, step: float) -> Any:
    """Prox of step · g*, the conjugate of a proximable g: y − step · prox_{g/step}(y / step) (Moreau, 1965).

    A part that knows a shorter way has the methods `conjugate_prox(y, step)` and, in place, `conjugate_prox_`.
    """
    if not hasattr(part, "conjugate_prox_"):
        return owned_add(y, owned_prox(part, y * (1 / step), 1 / step), -step)
    return part.conjugate_prox(y, step) if torch.is_grad_enabled() else part.conjugate_prox_(y, step)
