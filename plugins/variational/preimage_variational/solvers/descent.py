"""Steps along a gradient, and how long they may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from preimage.space import Blocks, owned_add
from preimage_variational.solvers.change import of_rank
from preimage_variational.solvers.terms import Term

HALVINGS = 30


@dataclass(frozen=True)
class Descent:
    """Steps from x to x − λ D ∇, with a gradient ∇ that is known, and on to the prox of a term.

    Attributes
    ----------
    domain : of x.
    gradient : ∇.
    ratios : D, for each unknown; None for 1.
    term : the part of the objective whose prox is taken; None without.
    """

    domain: Any
    gradient: Any
    ratios: Mapping[str, Any] | None = None
    term: Term | None = None

    def step(self, x: Any, length: Any) -> Any:
        """A step of λ, (*batch, 1, …, 1) or a number, over x; none where λ is 0."""
        x = owned_add(x, self.scaled(self.gradient), -length)
        if self.term is None:
            return x
        size = length
        if self.term.on is not None:
            size = of_rank(length, self.domain[self.term.on])
            size = size if self.ratios is None else size * self.ratios[self.term.on]
        if not isinstance(length, Tensor):
            return self.term.prox(x, size)
        return where(length > 0, self.term.prox(x.clone(), size), x)

    def scaled(self, gradient: Any) -> Any:
        """D ∇, of this gradient or of another."""
        return gradient if self.ratios is None else gradient * self.ratios

    def slope(self, moved: Any) -> Tensor:
        """⟨∇, moved⟩, real."""
        return self.domain.inner(self.gradient, moved).real  # type: ignore[no-any-return]

    def squared_step(self, length: Any) -> Tensor:
        """That squared length of a step of λ without a prox."""
        return length**2 * self.slope(self.scaled(self.gradient))  # type: ignore[no-any-return]

    def squared_length(self, moved: Any) -> Tensor:
        """⟨moved, D⁻¹ moved⟩, as lengths of steps are measured."""
        if self.ratios is None:
            return self.domain.squared_norm(moved)  # type: ignore[no-any-return]
        unscaled = moved * {name: 1 / ratio for name, ratio in self.ratios.items()}
        return self.domain.inner(moved, unscaled)  # type: ignore[no-any-return]


@torch.no_grad()
def first_share(checks: Sequence[Callable[[Tensor], Tensor]], like: Tensor) -> tuple[Tensor, Tensor]:
    """The first of 1, ½, ¼, … that passes all checks, element by element, and whether one did."""
    share, passed = torch.ones_like(like), torch.ones_like(like, dtype=torch.bool)
    for _ in range(HALVINGS):
        passed = torch.stack([check(share) for check in checks]).all(0)
        if bool(passed.all()):
            break
        share = torch.where(passed, share, share / 2)
    return share, passed


def where(chosen: Tensor, x: Any, other: Any) -> Any:
    """x for the elements of a batch that are chosen, (*batch, 1, …, 1) or (*batch,), the other one's else."""
    if isinstance(x, Blocks):
        return Blocks({name: where(chosen, part, other[name]) for name, part in x.items()})
    return torch.where(chosen.reshape(*chosen.shape, *[1] * (x.ndim - chosen.ndim)), x, other)
