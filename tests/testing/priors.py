"""Priors that obey the laws, and for each law one that does not."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from preimage.declarations import halo, split, whole
from preimage.movable import Movable
from preimage.operators import LinearOperator, Norm
from preimage.space import Space
from preimage.testing.toys import Quadratic

from .fake import NoSettings, Wrong, method

# --- right ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sparsity(Movable):
    """R(x) = weight · Σ|x|."""

    weight: float = 0.4

    def value(self, x: Tensor) -> Tensor:
        return self.weight * x.abs().sum()

    def prox(self, x: Tensor, step: Any) -> Tensor:
        size = x.abs()
        return x * ((size - step * self.weight).clamp_min(0) / size.clamp_min(torch.finfo(size.dtype).tiny))

    def prox_(self, x: Tensor, step: Any) -> Tensor:
        return x.copy_(self.prox(x, step))


class Cardinality(Sparsity):
    """R(x) = weight · the number of x that are not 0, which is not convex."""

    convex = False

    def value(self, x: Tensor) -> Tensor:
        return self.weight * (x != 0).sum().to(x.real.dtype)

    def prox(self, x: Tensor, step: Any) -> Tensor:
        return x * (x.abs().square() > 2 * step * self.weight)


class Bounded(Movable):
    """|x| ≤ 1, a constraint."""

    constraint = True

    def prox(self, x: Tensor, step: Any) -> Tensor:
        return x / x.abs().clamp_min(1)


class Walled(Bounded):
    """The same with a value, which is infinite beyond."""

    def value(self, x: Tensor) -> Tensor:
        size, rounding = x.abs(), 10 * torch.finfo(x.dtype).eps
        return torch.where(size > 1 + rounding, torch.inf, torch.zeros_like(size)).sum()


class Differences(LinearOperator):
    """Differences of neighbours along z, none after the last."""

    def __init__(self, space: Space) -> None:
        super().__init__(space, space)

    def _apply(self, x: Tensor) -> Tensor:
        return torch.cat([x[..., 1:, :] - x[..., :-1, :], torch.zeros_like(x[..., :1, :])], -2)

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        inner, zero = y[..., :-1, :], torch.zeros_like(y[..., :1, :])
        return torch.cat([zero, inner], -2) - torch.cat([inner, zero], -2)

    def _bound(self) -> Norm:
        return Norm(2 * math.cos(math.pi / (2 * self.domain.shape[0])), "exact")


class Variation(Movable):
    """Total variation along z: a value, and the splitting into Σ|·| of differences."""

    def __init__(self, space: Space) -> None:
        self.space = space

    def value(self, x: Tensor) -> Tensor:
        return 0.3 * Differences(self.space)._apply(x).abs().sum()

    def split(self) -> tuple[Any, LinearOperator]:
        return Sparsity(0.3), Differences(self.space)


class Mixture(Movable):
    """x is 0 or, with variance 1, something: an exact denoiser that is neither linear nor convex."""

    scale_equivariant = False

    def denoise(self, x: Tensor, sigma: Any) -> Tensor:
        present = (-0.5 * x.abs().square() / (1 + sigma**2)).exp() / (1 + sigma**2) ** 0.5
        absent = (-0.5 * x.abs().square() / sigma**2).exp() / sigma
        return x * (present / (present + absent) / (1 + sigma**2))


class Halving(Movable):
    """Half of σ is taken off the magnitudes: it knows no scale of its own."""

    scale_equivariant = True

    def denoise(self, x: Tensor, sigma: Any) -> Tensor:
        return Sparsity(0.5).prox(x, sigma)


class Smooth(Movable):
    """A denoiser that weighs in the neighbours along z."""

    def denoise(self, x: Tensor, sigma: Any) -> Tensor:
        wide = torch.nn.functional.pad(x, (0, 0, 1, 1))
        return x + 0.1 * sigma * (wide[..., :-2, :] + wide[..., 2:, :] - 2 * x)


class Generator(Movable):
    """x = G(z), and a density."""

    def __init__(self, space: Space) -> None:
        self.space = space

    def generate(self, z: Tensor) -> Tensor:
        return z.unsqueeze(-1).expand(*z.shape, self.space.shape[-1]).clone()

    def latent(self) -> Space:
        return Space(("z",), self.space.shape[:1], self.space.dtype)

    def log_prob(self, x: Tensor) -> Tensor:
        return -x.abs().square().sum((-2, -1))


COMPLEX = Space(("z", "y"), (5, 4), torch.complex64)
REAL = Space(("z", "y"), (3, 1), torch.float32)
EXAMPLES = [(NoSettings(), COMPLEX), (NoSettings(), REAL)]


def prior(make: Callable[[Space], Any], axes: dict[str, Any] | None = None) -> Callable[[Path], Any]:
    """A method that makes a prior of a space."""

    def preimage_prior(settings: NoSettings, domain: Space) -> Movable:
        return make(domain)

    return method("prior", preimage_prior, EXAMPLES, preimage_axes=(lambda: axes) if axes else None)


RIGHT = [
    prior(lambda space: Quadratic(space, 0.5), {"z": split, "y": split}),
    prior(lambda space: Sparsity(), {"z": split, "y": split}),
    prior(lambda space: Cardinality(), {"z": split}),
    prior(lambda space: Bounded(), {"z": split, "y": split}),
    prior(lambda space: Walled(), {"z": split, "y": split}),
    prior(Variation, {"y": split, "z": whole}),
    prior(Variation, {"y": split, "z": halo(1)}),
    prior(lambda space: Mixture(), {"z": split}),
    prior(lambda space: Halving(), {"z": split}),
    prior(lambda space: Smooth(), {"z": halo(1)}),
    prior(Generator),
]

# --- wrong ------------------------------------------------------------------------------------------------------------


class WirtingerGradient(Quadratic):
    def grad(self, x: Tensor) -> Tensor:
        return super().grad(x) / 2


class HalfAsSteep(Quadratic):
    def lipschitz(self) -> float:
        return self.weight / 2


class IgnoresTheStep(Sparsity):
    def prox(self, x: Tensor, step: Any) -> Tensor:
        return super().prox(x, 1.0 if not isinstance(step, Tensor) else torch.ones_like(step))


class SquaredStep(Quadratic):
    def prox(self, x: Tensor, step: Any) -> Tensor:
        return super().prox(x, step**2)


class HalfTheWeight(Quadratic):
    """Minimises value/2: ‖z − x‖² without its half."""

    def prox(self, x: Tensor, step: Any) -> Tensor:
        return super().prox(x, step / 2)


class RealAndImaginaryApart(Sparsity):
    def prox(self, x: Tensor, step: Any) -> Tensor:
        if not x.is_complex():
            return super().prox(x, step)
        return torch.complex(super().prox(x.real, step), super().prox(x.imag, step))


class ApartThroughout(RealAndImaginaryApart):
    """The value is wrong in the same way, so that only a turn of the phase tells."""

    def value(self, x: Tensor) -> Tensor:
        return self.weight * (torch.view_as_real(x) if x.is_complex() else x).abs().sum()


class SaysItIsConvex(Cardinality):
    convex = True


class ForgetsItsWeight(Sparsity):
    """The prox of half the value: off by a constant along every line."""

    def value(self, x: Tensor) -> Tensor:
        return 2 * super().value(x)


class BoundedByTheStep(Bounded):
    def prox(self, x: Tensor, step: Any) -> Tensor:
        return x / (x.abs() / step).clamp_min(1)


class OnlyNearer(Bounded):
    """Goes half of the way."""

    def prox(self, x: Tensor, step: Any) -> Tensor:
        return (x + super().prox(x, step)) / 2


class TurnedRound(Bounded):
    """What is outside comes in on the other side."""

    def prox(self, x: Tensor, step: Any) -> Tensor:
        return torch.where(x.abs() > 1, -1, 1) * super().prox(x, step)


class OneStepForAll(Sparsity):
    def prox(self, x: Tensor, step: Any) -> Tensor:
        return super().prox(x, step.max() if isinstance(step, Tensor) else step)


class LeavesItsArgument(Sparsity):
    def prox_(self, x: Tensor, step: Any) -> Tensor:
        return self.prox(x, step)


class OtherStepInPlace(Sparsity):
    def prox_(self, x: Tensor, step: Any) -> Tensor:
        return x.copy_(self.prox(x, 2 * step))


class OtherWeightInside(Variation):
    def split(self) -> tuple[Any, LinearOperator]:
        return Sparsity(0.6), Differences(self.space)


class WrongBoundOfDifferences(Differences):
    def _bound(self) -> Norm:
        return Norm(1.0, "upper")


class WrongAdjointOfDifferences(Differences):
    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return -super()._apply_adjoint(y)


class SplitsInto(Variation):
    def __init__(self, space: Space, differences: type, outer: Any = None) -> None:
        super().__init__(space)
        self.differences = differences
        self.outer = outer or Sparsity(0.3)

    def split(self) -> tuple[Any, LinearOperator]:
        return self.outer, self.differences(self.space)


class OtherDifferences(Differences):
    """To the next but one, none after the last two."""

    def _apply(self, x: Tensor) -> Tensor:
        return torch.cat([x[..., 2:, :] - x[..., :-2, :], torch.zeros_like(x[..., :2, :])], -2)


class Flattened(Differences):
    """Gives its differences without the names of their dims."""

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        self.codomain = Space(("d", "y"), space.shape, space.dtype)


class In255ths(Movable):
    """Takes x to range from 0 to 255, and σ with it."""

    def denoise(self, x: Tensor, sigma: Any) -> Tensor:
        return Sparsity(0.5).prox(x, sigma * 255)


class SaysItKnowsNoScale(Mixture):
    scale_equivariant = True


class IgnoresSigma(Movable):
    def denoise(self, x: Tensor, sigma: Any) -> Tensor:
        return 0.99 * x


class OneSigmaForAll(Halving):
    def denoise(self, x: Tensor, sigma: Any) -> Tensor:
        return super().denoise(x, sigma.max() if isinstance(sigma, Tensor) else sigma)


class ThresholdOfTheMaximum(Sparsity):
    """A threshold relative to the largest x: another one for every block."""

    def prox(self, x: Tensor, step: Any) -> Tensor:
        return super().prox(x, step * x.abs().amax((-2, -1), keepdim=True))


class MeanValue(Sparsity):
    """A mean where a sum is meant."""

    def value(self, x: Tensor) -> Tensor:
        return super().value(x) / x.shape[-2]


class TwoFar(Smooth):
    def denoise(self, x: Tensor, sigma: Any) -> Tensor:
        return super().denoise(super().denoise(x, sigma), sigma)


class OneShort(Sparsity):
    def prox(self, x: Tensor, step: Any) -> Tensor:
        return super().prox(x, step)[..., :-1]


class ChangesItsArgument(Sparsity):
    def prox(self, x: Tensor, step: Any) -> Tensor:
        return x.sub_(step * self.weight * x.sgn()) if not torch.is_grad_enabled() else x


class MeanOverTheBatch(Sparsity):
    def value(self, x: Tensor) -> Tensor:
        return super().value(x) / x.shape[0]


class ValueInDouble(Sparsity):
    def value(self, x: Tensor) -> Tensor:
        return super().value(x).double()


class OnNoDevice(Sparsity):
    def prox(self, x: Tensor, step: Any) -> Tensor:
        return super().prox(x, step * torch.ones(x.shape[-1]))


def turned(space: Space) -> Any:
    """A prior that knows a phase, and does not say so."""
    angle = cmath.exp(0.3j) if space.is_complex else 1.0

    class Turned(Quadratic):
        def value(self, x: Tensor) -> Tensor:
            return super().value(x - angle)

        def grad(self, x: Tensor) -> Tensor:
            return super().grad(x - angle)

        def prox(self, x: Tensor, step: Any) -> Tensor:
            return angle + super().prox(x - angle, step)

    return Turned(space)


def splits_into(differences: type, outer: Any = None) -> Callable[[Path], Any]:
    """A method whose prior splits into these, with a halo of 1 along z."""
    return prior(lambda space: SplitsInto(space, differences, outer), {"y": split, "z": halo(1)})


ALONG_Z = {"z": split}

WRONG: dict[str, list[Wrong]] = {
    "gradient": [Wrong(prior(WirtingerGradient), r"by the factor 0\.5: .*half of it is the Wirtinger gradient")],
    "lipschitz": [Wrong(prior(HalfAsSteep), r"differ by 2 times what lipschitz\(\) = 0\.25 allows")],
    "prox": [
        Wrong(prior(lambda space: IgnoresTheStep()), "is the step left out"),
        Wrong(prior(SquaredStep), "does not minimise value"),
        Wrong(prior(HalfTheWeight), r"the least value is at 1\.9\d* times its distance"),
        Wrong(prior(lambda space: RealAndImaginaryApart()), "re and im treated apart"),
    ],
    "prox_steps": [Wrong(prior(lambda space: OneStepForAll()), "and one by one")],
    "prox_in_place": [
        Wrong(prior(lambda space: LeavesItsArgument()), "what it returned"),
        Wrong(prior(lambda space: OtherStepInPlace()), r"prox_\(x, 0.05\) and prox"),
    ],
    "firmly_nonexpansive": [Wrong(prior(lambda space: SaysItIsConvex()), "says convex = False")],
    "projection": [
        Wrong(prior(lambda space: BoundedByTheStep()), "a projection has no step"),
        Wrong(prior(lambda space: OnlyNearer()), "the prox of a prox"),
        Wrong(prior(lambda space: TurnedRound()), "not what is nearest"),
    ],
    "moreau": [
        Wrong(prior(lambda space: SaysItIsConvex()), "is no subgradient"),
        Wrong(prior(lambda space: ForgetsItsWeight()), "the slope of the Moreau envelope"),
    ],
    "phase": [
        Wrong(prior(lambda space: ApartThroughout()), "threshold the magnitude"),
        Wrong(prior(turned), "phase_equivariant = False"),
    ],
    "composite": [
        Wrong(prior(OtherWeightInside), r"g\(K x\) and value\(x\) differ by the factor 2"),
        Wrong(prior(lambda space: SplitsInto(space, WrongAdjointOfDifferences)), r"K of split\(\).* by the factor -1"),
        Wrong(prior(lambda space: SplitsInto(space, WrongBoundOfDifferences)), r"K of split\(\).* an upper bound"),
        Wrong(prior(lambda space: SplitsInto(space, Differences, IgnoresTheStep(0.3))), "the prox.* of g of split"),
        Wrong(prior(lambda space: SplitsInto(space, lambda space: 7)), "a LinearOperator on"),
    ],
    "noiseless": [
        Wrong(prior(lambda space: In255ths()), "a range such as 0…255"),
        Wrong(prior(lambda space: IgnoresSigma()), "times the noise"),
    ],
    "units": [Wrong(prior(lambda space: SaysItKnowsNoScale()), r"denoise\(0.1·x, 0.1·σ\)")],
    "noise_levels": [
        Wrong(prior(lambda space: OneSigmaForAll()), "and one by one"),
        Wrong(prior(lambda space: IgnoresSigma()), "σ is not used"),
    ],
    "axes": [
        Wrong(prior(lambda space: ThresholdOfTheMaximum(), ALONG_Z), "is 'z' really split"),
        Wrong(prior(lambda space: MeanValue(), ALONG_Z), "summed over blocks"),
        Wrong(prior(lambda space: TwoFar(), {"z": halo(1)}), r"is 'z' really halo\(1\)"),
        Wrong(prior(Variation, {"z": split}), "summed over blocks"),
        Wrong(prior(lambda space: Sparsity(), {"x": split}), "the domain does not have"),
    ],
    "shares": [
        Wrong(splits_into(OtherDifferences), r"K of the block.* is 'z' really halo\(1\)"),
        Wrong(splits_into(Flattened), "as long as the image"),
        Wrong(splits_into(Differences, ThresholdOfTheMaximum(0.3)), "g couples blocks"),
        Wrong(splits_into(Differences, MeanValue(0.3)), "summed over blocks"),
    ],
    "result": [Wrong(prior(lambda space: OneShort()), "gives no element of its space")],
    "purity": [Wrong(prior(lambda space: ChangesItsArgument()), "changes its argument")],
    "batched": [Wrong(prior(lambda space: MeanOverTheBatch()), "values are summed over the batch")],
    "precision": [Wrong(prior(lambda space: ValueInDouble()), "not a 0-dim torch.float32")],
    "meta": [Wrong(prior(lambda space: OnNoDevice()), "without device=x.device")],
    "sizes": [
        Wrong(method("prior", lambda domain: Sparsity(), [(NoSettings(), Space(("z",), (4,)))]), "of odd length")
    ],
    "capability": [Wrong(prior(lambda space: Movable()), "offers nothing")],
}
