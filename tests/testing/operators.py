"""Operators that obey the laws, and for each law one that does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from preimage.data import tensor
from preimage.declarations import halo, split, whole
from preimage.operators import (
    SVD,
    LinearOperator,
    Norm,
    Operator,
    block_diag,
    hstack,
    power_iteration,
    vstack,
)
from preimage.space import ProductSpace, Space
from preimage.testing.examples import OperatorExample
from preimage.testing.toys import MaskedRows, Rows, Toy

from .fake import NoSettings, Wrong, by_hand, method

# --- right ------------------------------------------------------------------------------------------------------------


class Coils(LinearOperator):
    """y_c = F(s_c x): the Fourier transform along y, unitary, of an image seen by several coils. Slices z are apart."""

    def __init__(self, sensitivities: Tensor) -> None:
        n_coils, nz, ny = sensitivities.shape
        dtype = sensitivities.dtype
        super().__init__(Space(("z", "y"), (nz, ny), dtype), Space(("coil", "z", "ky"), (n_coils, nz, ny), dtype))
        self.sensitivities = sensitivities

    def _apply(self, x: Tensor) -> Tensor:
        return torch.fft.fft(self.sensitivities * x.unsqueeze(-3), norm="ortho")

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return (self.sensitivities.conj() * torch.fft.ifft(y, norm="ortho")).sum(-3)

    def _apply_normal(self, x: Tensor) -> Tensor:
        return x * self.sensitivities.abs().square().sum(0)

    def _bound(self) -> Norm:
        return Norm(float(self.sensitivities.abs().square().sum(0).max().sqrt()), "exact")


class Blur3(LinearOperator):
    """The mean of three neighbours along z, zeros outside: it reaches one index far."""

    def __init__(self, space: Space) -> None:
        super().__init__(space, space)

    def _apply(self, x: Tensor) -> Tensor:
        wide = torch.nn.functional.pad(x, (0, 0, 1, 1))
        return (wide[..., :-2, :] + wide[..., 1:-1, :] + wide[..., 2:, :]) / 3

    _apply_adjoint = _apply

    def _bound(self) -> Norm:
        return Norm(1.0, "upper")


class RealPart(LinearOperator):
    """The real part of a complex image: linear over the reals only."""

    complex_linear = False

    def __init__(self) -> None:
        super().__init__(Space(("n",), (5,), torch.complex128), Space(("n",), (5,), torch.float64))

    def _apply(self, x: Tensor) -> Tensor:
        return x.real.clone()

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return y.to(self.domain.dtype)


class Intensity(Operator):
    """y = |M x|², which a global phase leaves as it is."""

    ambiguity = frozenset({"phase"})

    def __init__(self, matrix: Tensor) -> None:
        m, n = matrix.shape
        super().__init__(Space(("n",), (n,), matrix.dtype), Space(("m",), (m,), torch.float64))
        self.matrix = matrix

    def _apply(self, x: Tensor) -> Tensor:
        return (x @ self.matrix.mT).abs().square()


class Outer(Operator):
    """y = a bᵀ, linear in a and in b."""

    multilinear = True

    def __init__(self, m: int = 3, n: int = 2, dtype: torch.dtype = torch.complex128) -> None:
        domain = ProductSpace(a=Space(("i",), (m,), dtype), b=Space(("j",), (n,), dtype))
        super().__init__(domain, Space(("i", "j"), (m, n), dtype))

    def _apply(self, x: Any) -> Any:
        return x["a"][..., :, None] * x["b"][..., None, :]


class Gathered(LinearOperator):
    """The samples of a unitary Fourier transform where a mask is True, gathered."""

    def __init__(self, mask: Tensor) -> None:
        n = len(mask)
        super().__init__(Space(("n",), (n,), torch.complex128), Space(("m",), (int(mask.sum()),), torch.complex128))
        self.mask = mask
        self.index = mask.nonzero()[:, 0]

    def _apply(self, x: Tensor) -> Tensor:
        return self.transform(x)[..., self.index]

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        spectrum = torch.zeros(*y.shape[:-1], len(self.mask), dtype=y.dtype, device=y.device)
        return self.inverse_transform(spectrum.index_copy(-1, self.index, y))

    def transform(self, x: Tensor) -> Tensor:
        return torch.fft.fft(x, norm="ortho")

    def inverse_transform(self, spectrum: Tensor) -> Tensor:
        return torch.fft.ifft(spectrum, norm="ortho")

    def sampling_mask(self) -> Tensor:
        return self.mask


def random(*shape: int, dtype: torch.dtype = torch.complex128, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def scan(n_coils: int = 3, nz: int = 5, ny: int = 4) -> xr.Dataset:
    """A dataset with sensitivities, and a mask that is small."""
    maps = random(n_coils, nz, ny).numpy().astype(np.complex64)
    mask = xr.Variable(("ky",), np.arange(ny) % 2 == 0, {"small": True})
    return xr.Dataset({"sensitivities": (("coil", "z", "y"), maps), "mask": mask})


SCANS = [(NoSettings(), scan()), (NoSettings(), scan(1, 3, 1))]
REQUIRES = {"sensitivities": ("coil", "z", "y")}


def make_coils(settings: NoSettings, dataset: xr.Dataset, shared: dict[str, Any]) -> Coils:
    return Coils(tensor(dataset, "sensitivities", ("coil", "z", "y")))


def spaces(settings: NoSettings, dataset: xr.Dataset) -> tuple[Space, Space]:
    sizes, dtype = dataset.sizes, torch.from_numpy(np.zeros((), dataset["sensitivities"].dtype)).dtype
    return (
        Space(("z", "y"), (sizes["z"], sizes["y"]), dtype),
        Space(("coil", "z", "ky"), (sizes["coil"], sizes["z"], sizes["y"]), dtype),
    )


def along_z(axis: Any) -> Callable[..., Any]:
    def preimage_axes() -> dict[str, Any]:
        return {"z": axis, "y": whole}

    return preimage_axes


def blur_of(dataset: xr.Dataset) -> Blur3:
    return Blur3(Space(("z", "y"), (dataset.sizes["z"], dataset.sizes["y"]), torch.complex64))


def make_blur(settings: NoSettings, dataset: xr.Dataset, shared: dict[str, Any]) -> Blur3:
    return Blur3(Space(("z", "y"), (dataset.sizes["z"], dataset.sizes["y"]), tensor(dataset, "sensitivities").dtype))


def make_outer(settings: NoSettings, dataset: xr.Dataset, shared: dict[str, Any]) -> Outer:
    return Outer(dataset.sizes["z"], dataset.sizes["y"], tensor(dataset, "sensitivities").dtype)


def outer(*unknowns: str) -> Callable[[Path], Any]:
    """Two unknowns, under the names that the module gives."""

    def preimage_unknowns(settings: NoSettings) -> tuple[str, ...]:
        return unknowns

    return method("operator", make_outer, SCANS, requires=REQUIRES, preimage_unknowns=preimage_unknowns)


RIGHT: list[Callable[[Path], Any]] = [
    outer("b", "a"),
    method("operator", make_coils, SCANS, requires=REQUIRES, preimage_spaces=spaces, preimage_axes=along_z(split)),
    method("operator", make_blur, SCANS, requires=REQUIRES, preimage_axes=along_z(halo(1))),
    by_hand(
        OperatorExample(Toy().problem().operator),
        OperatorExample(Toy(torch.float64, masked=True).problem().operator),
        OperatorExample(Rows(random(2, 3, 5))),
        OperatorExample(2j * Rows(random(2, 5, 3))),
        OperatorExample(RealPart()),
        OperatorExample(Intensity(random(6, 3))),
        OperatorExample(Outer()),
        OperatorExample(Gathered(torch.tensor([True, False, True, True, False]))),
        OperatorExample(vstack(one=Rows(random(2, 3, 5)), other=Rows(random(2, 4, 5)))),
        OperatorExample(hstack(one=Rows(random(2, 3, 5)), other=Rows(random(2, 3, 4)))),
        OperatorExample(block_diag(real=Rows(random(2, 3, 5, dtype=torch.float64)), other=Rows(random(2, 3, 4)))),
    ),
]

# --- wrong ------------------------------------------------------------------------------------------------------------


class WithoutConjugate(Coils):
    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return (self.sensitivities * torch.fft.ifft(y, norm="ortho")).sum(-3)


class TwiceTheAdjoint(Coils):
    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return 2 * super()._apply_adjoint(y)


class AdjointThatIsRightInDoubleOnly(Coils):
    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return super()._apply_adjoint(y) * (1 + (1e-3 if y.dtype == torch.complex64 else 0))


class NormalWithoutTheOtherCoils(Coils):
    def _apply_normal(self, x: Tensor) -> Tensor:
        return x * self.sensitivities[0].abs().square()


class ReadsWhatItWrote(Coils):
    """One coil after the other, each from an image that the last one changed."""

    def _add_normal(self, y: Tensor, x: Tensor, alpha: Any) -> Tensor:
        for sensitivities in self.sensitivities:
            y += alpha * x * sensitivities.abs().square()
        return y


class LargestCoil(Coils):
    """The largest coil where the root of the sum of squares over coils is meant."""

    def _bound(self) -> Norm:
        return Norm(float(self.sensitivities.abs().max()), "exact")


class BoundFromBelow(Coils):
    def _bound(self) -> Norm:
        return Norm(0.99 * super()._bound().value, "upper")


class HastyEstimate(Coils):
    def _bound(self) -> Norm:
        return power_iteration(self, n_iterations=1)


class EstimateFromAbove(Coils):
    def _bound(self) -> Norm:
        return Norm(1.01 * super()._bound().value, "estimate")


class Offset(Coils):
    def _apply(self, x: Tensor) -> Tensor:
        return super()._apply(x) + 1e-6


class HiddenConjugate(Coils):
    def _apply(self, x: Tensor) -> Tensor:
        return super()._apply(x.conj())


class ModestClaim(Coils):
    complex_linear = False


class BoastfulRealPart(RealPart):
    complex_linear = True


class HalfTheDerivative(Intensity):
    """Wirtinger's derivative where the real one is meant."""

    def jvp(self, x: Tensor, v: Tensor) -> Tensor:
        return super().jvp(x, v) / 2


class ConjugatedPullback(Intensity):
    def vjp(self, x: Tensor, w: Tensor) -> Tensor:
        return super().vjp(x, w).conj()


class Detached(Coils):
    composite = True

    def _apply(self, x: Tensor) -> Tensor:
        return super()._apply(x.detach())


class FirstDerivativeOnly(Intensity):
    """Its gradient is right, and is a constant to whoever differentiates it again."""

    def _apply(self, x: Tensor) -> Tensor:
        field = x @ self.matrix.mT
        constant = field.detach()
        return 2 * (constant.conj() * field).real - constant.abs().square()


class FrozenSensitivities(Coils):
    def _apply(self, x: Tensor) -> Tensor:
        return torch.fft.fft(self.sensitivities.detach() * x.unsqueeze(-3), norm="ortho")


class Autocorrelation(Outer):
    def _apply(self, x: Any) -> Any:
        return super()._apply(x) * x["a"][..., :1, None]


class SeenPhase(Intensity):
    def _apply(self, x: Tensor) -> Tensor:
        return super()._apply(x) + 1e-3 * x.real[..., :1]


class UnknownAmbiguity(Intensity):
    ambiguity = frozenset({"phase", "rotation"})


class SquaredDamping(Rows):
    def solve_normal(self, rhs: Tensor, damping: Any) -> Tensor:
        return super().solve_normal(rhs, damping**2)


class OneDampingForAll(Rows):
    def solve_normal(self, rhs: Tensor, damping: Any) -> Tensor:
        return super().solve_normal(rhs, damping.max() if isinstance(damping, Tensor) else damping)


class NotOfMinimumNorm(Rows):
    """A solution of A x = y to which a part of the null space is added."""

    def pinv(self, y: Tensor) -> Tensor:
        x = super().pinv(y)
        null = torch.eye(x.shape[-1], dtype=x.dtype) - torch.linalg.pinv(self.matrices) @ self.matrices
        return x + (null @ y.sum(-1, keepdim=True).expand_as(x)[..., None])[..., 0]


class AdjointForInverse(Rows):
    def pinv(self, y: Tensor) -> Tensor:
        return self._apply_adjoint(y)


class WithoutNullSpace(Rows):
    def svd(self) -> SVD:
        _, s, vh = torch.linalg.svd(self.matrices, full_matrices=False)
        full = super().svd()
        uh = full.uh.matrices[..., : s.shape[-1], :]
        return SVD(Rows(vh.mH, ("spectrum", "n")), s, Rows(uh, ("m", "spectrum")))


class SignedSingularValues(Rows):
    def svd(self) -> SVD:
        svd = super().svd()
        return SVD(svd.v, -svd.s, Rows(-svd.uh.matrices, ("m", "spectrum")))


class SquaredSingularValues(Rows):
    def svd(self) -> SVD:
        svd = super().svd()
        return SVD(svd.v, svd.s**2, svd.uh)


class InvertedMask(Gathered):
    def sampling_mask(self) -> Tensor:
        return ~self.mask


class TransformWithoutScale(Gathered):
    def transform(self, x: Tensor) -> Tensor:
        return torch.fft.fft(x)

    def inverse_transform(self, spectrum: Tensor) -> Tensor:
        return torch.fft.ifft(spectrum)

    def _apply(self, x: Tensor) -> Tensor:
        return torch.fft.fft(x, norm="ortho")[..., self.index]


class OtherTransform(MaskedRows):
    def transform(self, x: Tensor) -> Tensor:
        return 2 * super().transform(x)

    def inverse_transform(self, spectrum: Tensor) -> Tensor:
        return super().inverse_transform(spectrum) / 2


class NoInverse(MaskedRows):
    def inverse_transform(self, spectrum: Tensor) -> Tensor:
        return super().inverse_transform(spectrum).conj()


class WritesIntoItsArgument(Coils):
    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return (y.mul_(1.5) if not torch.is_grad_enabled() else y).sum(-3)


class LeavesSomethingBehind(Coils):
    calls = 0

    def _apply(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super()._apply(x) * self.calls


class WearsOut(Coils):
    def _apply(self, x: Tensor) -> Tensor:
        y = super()._apply(x)
        self.sensitivities *= 0.9
        return y


class OtherWithoutGradients(Coils):
    composite = True  # so that it sees whether gradients are recorded

    def _apply_normal(self, x: Tensor) -> Tensor:
        return super()._apply_normal(x) * (1 if torch.is_grad_enabled() else 2)


class CountsAxesFromTheLeft(Coils):
    def _apply_adjoint(self, y: Tensor) -> Tensor:
        images = self.sensitivities.conj() * torch.fft.ifft(y, norm="ortho")
        return images.sum(-3) - images.mean(0, keepdim=True).sum(-3) * (y.ndim > 3)


class OneShort(Coils):
    def _apply(self, x: Tensor) -> Tensor:
        return super()._apply(x)[..., :-1]


class ConstantInSinglePrecision(Coils):
    def _apply(self, x: Tensor) -> Tensor:
        return super()._apply(x).to(torch.complex64)


class CoarseInSinglePrecision(Coils):
    def _apply(self, x: Tensor) -> Tensor:
        y = super()._apply(x)
        return y if y.dtype == torch.complex128 else y * 1.01


class OnNoDevice(Coils):
    def _apply(self, x: Tensor) -> Tensor:
        return super()._apply(x) * torch.ones(x.shape[-1])


class HiddenCpu(Coils):
    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return super()._apply_adjoint(y.cpu())


class HiddenInAnObject(Coils):
    """Its tensors are where `.to()` does not look for them."""

    def __init__(self, sensitivities: Tensor) -> None:
        super().__init__(sensitivities)
        self.hidden = type("Plan", (), {})()
        self.hidden.maps = sensitivities

    def _apply(self, x: Tensor) -> Tensor:
        return torch.fft.fft(self.hidden.maps * x.unsqueeze(-3), norm="ortho")


class NormalisedBySlices(Coils):
    """Divides by the maximum over all slices, which is another number for a block of them."""

    def __init__(self, sensitivities: Tensor) -> None:
        super().__init__(sensitivities / sensitivities.abs().max())


class RollsAlongZ(Coils):
    def _apply(self, x: Tensor) -> Tensor:
        return super()._apply(x.roll(1, -2))

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return super()._apply_adjoint(y).roll(-1, -2)


class TwoFar(Blur3):
    """Reaches two indices far, weakly: declared one too small it is wrong in the sixth digit."""

    def _apply(self, x: Tensor) -> Tensor:
        wide = torch.nn.functional.pad(x, (0, 0, 2, 2))
        return super()._apply(x) + 2e-6 * (wide[..., :-4, :] + wide[..., 4:, :])


def coils(cls: type, **names: Any) -> Callable[[Path], Any]:
    """The method of the right operator, which makes another class."""

    def make(settings: NoSettings, dataset: xr.Dataset, shared: dict[str, Any]) -> Operator:
        return cls(tensor(dataset, "sensitivities", ("coil", "z", "y")))

    return method("operator", make, SCANS, **({"requires": REQUIRES, "preimage_axes": along_z(split)} | names))


def keeps_too_much(settings: NoSettings, dataset: xr.Dataset, shared: dict[str, Any]) -> Coils:
    maps = shared.setdefault("maps", tensor(dataset, "sensitivities", ("coil", "z", "y")))
    return Coils(maps[:, : dataset.sizes["z"]])


def make_far(settings: NoSettings, dataset: xr.Dataset, shared: dict[str, Any]) -> Blur3:
    return TwoFar(blur_of(dataset).domain.with_dtype(torch.float64))


def always_single(settings: NoSettings, dataset: xr.Dataset, shared: dict[str, Any]) -> Coils:
    return Coils(tensor(dataset, "sensitivities", ("coil", "z", "y")).to(torch.complex64))


def reads_values(settings: NoSettings, dataset: xr.Dataset) -> dict[str, Any]:
    return {"z": split if float(abs(dataset["sensitivities"]).max()) > 0 else whole}


def other_spaces(settings: NoSettings, dataset: xr.Dataset) -> tuple[Space, Space]:
    domain, codomain = spaces(settings, dataset)
    return domain, Space(("coil", "z", "y"), codomain.shape, codomain.dtype)


def nonsense_memory(settings: NoSettings, dataset: xr.Dataset) -> int:
    return 7


def nonsense_rewrite(settings: NoSettings, dataset: xr.Dataset) -> list[dict[str, Any]]:
    return [{"name": "readout-ifft"}]


def of(operator: Operator) -> Callable[[Path], Any]:
    return by_hand(OperatorExample(operator))


def maps() -> Tensor:
    """New ones every time: some of these operators change them."""
    return random(3, 5, 4)


UNKNOWN_DIM = method("operator", make_coils, SCANS, preimage_axes=lambda: {"zz": split})
ONE_SIDED = method("operator", make_coils, SCANS, preimage_axes=lambda: {"y": split})
WIDE, TALL, MASK = random(2, 3, 5), random(2, 5, 3), torch.tensor([True, False, True, True, False])

WRONG: dict[str, list[Wrong]] = {
    "linearity": [
        Wrong(of(Offset(maps())), "an offset"),
        Wrong(of(HiddenConjugate(maps())), r"A\(ix\) and i·A x differ by the factor -1"),
        Wrong(of(ModestClaim(maps())), "complex_linear is False, but"),
        Wrong(of(BoastfulRealPart()), "complex_linear is True, but"),
    ],
    "adjoint": [
        Wrong(of(TwiceTheAdjoint(maps())), r"differ.*by the factor 0\.5: a missing scale in _apply_adjoint"),
        Wrong(of(WithoutConjugate(maps())), "differ.*by no common factor: a missing conjugate"),
        Wrong(of(AdjointThatIsRightInDoubleOnly(maps())), r"allowed 1e-05 in torch\.float32"),
    ],
    "normal": [Wrong(of(NormalWithoutTheOtherCoils(maps())), "normal")],
    "add_normal": [Wrong(of(ReadsWhatItWrote(maps())), r"add_normal\(x, x, -0.3\).*written over")],
    "norm": [
        Wrong(of(LargestCoil(maps())), "it says that it is exact"),
        Wrong(of(BoundFromBelow(maps())), r"off by the factor 0\.99: it says that it is an upper bound"),
        Wrong(of(HastyEstimate(maps())), "too small"),
        Wrong(of(EstimateFromAbove(maps())), "comes from below"),
    ],
    "derivative": [
        Wrong(of(HalfTheDerivative(random(6, 3))), r"jvp\(x, v\) and a finite difference differ by the factor 0\.5"),
        Wrong(of(ConjugatedPullback(random(6, 3))), r"vjp"),
    ],
    "autograd": [
        Wrong(of(Detached(maps())), "one of them is zero.*a detach"),
        Wrong(of(FirstDerivativeOnly(random(6, 3))), "the second derivative"),
    ],
    "multilinear": [Wrong(of(Autocorrelation()), "A.* in 'a'")],
    "ambiguity": [
        Wrong(of(SeenPhase(random(6, 3))), "another phase"),
        Wrong(of(UnknownAmbiguity(random(6, 3))), "ambiguity names rotation"),
    ],
    "trainable": [Wrong(of(FrozenSensitivities(maps())), "to the operator's 'sensitivities'.*is the tensor detached")],
    "solve_normal": [
        Wrong(of(SquaredDamping(TALL)), "damping that is squared"),
        Wrong(of(OneDampingForAll(TALL)), "one by one"),
    ],
    "pinv": [
        Wrong(of(AdjointForInverse(TALL)), "A A⁺A x and A x"),
        Wrong(of(NotOfMinimumNorm(WIDE)), "A⁺A A⁺y and A⁺y|minimum norm"),
    ],
    "svd": [
        Wrong(of(WithoutNullSpace(WIDE)), "the whole domain"),
        Wrong(of(SignedSingularValues(WIDE)), "singular values are ≥ 0"),
        Wrong(of(SquaredSingularValues(WIDE)), "U s Vᴴx and A x"),
    ],
    "masked_transform": [
        Wrong(of(InvertedMask(MASK)), "a mask that is inverted"),
        Wrong(of(TransformWithoutScale(MASK)), "Λ T x.* differ by the factor 0.2"),
        Wrong(of(OtherTransform(random(2, 3, 3), torch.ones(2, 3, dtype=torch.bool))), "differ by the factor 0.5"),
        Wrong(of(NoInverse(random(2, 3, 3), torch.ones(2, 3, dtype=torch.bool))), "T⁻¹T x and x"),
    ],
    "result": [
        Wrong(of(OneShort(maps())), r"A\(x\) gives no element of its space: dim 'ky' should have length 4, it has 3"),
        Wrong(of(ConstantInSinglePrecision(maps())), "no element of its space: expected torch.complex128"),
    ],
    "purity": [
        Wrong(of(WritesIntoItsArgument(maps())), r"adjoint\(y\) changes its argument"),
        Wrong(of(LeavesSomethingBehind(maps())), r"two calls of A\(x\) differ"),
        Wrong(of(WearsOut(maps())), r"A\(x\) changes a tensor of its own"),
        Wrong(of(OtherWithoutGradients(maps())), "with and without recording gradients"),
    ],
    "batched": [Wrong(of(CountsAxesFromTheLeft(maps())), r"adjoint\(y\) of a batch and of its elements")],
    "precision": [
        Wrong(of(ConstantInSinglePrecision(maps())), "expected torch.complex128, got torch.complex64"),
        Wrong(of(CoarseInSinglePrecision(maps())), "in single and in double precision differ by the factor 1.01"),
    ],
    "meta": [
        Wrong(of(OnNoDevice(maps())), "without device=x.device"),
        Wrong(of(HiddenCpu(maps())), r"adjoint\(y\) fails"),
        Wrong(of(HiddenInAnObject(maps())), r"a tensor that .to\(\) does not find"),
    ],
    "requires": [
        Wrong(coils(Coils, requires={}), "no example can do without 'sensitivities'"),
        Wrong(coils(Coils, requires={"sensitivities": ("coil", "x")}), "which the dataset does not have"),
    ],
    "headers_only": [
        Wrong(coils(Coils, preimage_axes=reads_values), "reads the values of 'sensitivities'"),
        Wrong(coils(Coils, preimage_axes=lambda: {"z": "split"}), "preimage_axes returns"),
        Wrong(coils(Coils, preimage_memory=nonsense_memory), "preimage_memory returns 7"),
        Wrong(coils(Coils, preimage_rewrite=nonsense_rewrite), "with the key 'use'"),
    ],
    "spaces": [Wrong(coils(Coils, preimage_spaces=other_spaces), "preimage_spaces says that the codomain is")],
    "unknowns": [
        Wrong(method("operator", make_outer, SCANS), "the unknowns are a, b, by preimage_unknowns there is one"),
        Wrong(outer("a", "c"), "the unknowns are a, b, by preimage_unknowns the unknowns are a, c"),
        Wrong(coils(Coils, preimage_unknowns=lambda: ("a", "b")), "there is one unknown, without a name, by preimage"),
    ],
    "follows_precision": [Wrong(method("operator", always_single, SCANS), "in torch.float64 an operator is made")],
    "axes": [
        Wrong(coils(NormalisedBySlices), r"A of the block 2:5 of 'z' .* differ by the factor"),
        Wrong(coils(RollsAlongZ), "is 'z' really split"),
        Wrong(
            method("operator", keeps_too_much, SCANS, preimage_axes=along_z(split)), "keyed by all that it depends on"
        ),
        Wrong(method("operator", make_far, SCANS, preimage_axes=along_z(halo(1))), r"is 'z' really halo\(1\)"),
        Wrong(UNKNOWN_DIM, "neither the domain nor the codomain has that dim"),
        Wrong(ONE_SIDED, "a dim that they do not share is whole"),
    ],
    "sizes": [
        Wrong(method("operator", make_coils, [(NoSettings(), scan(1, 2, 4))]), "of odd length"),
        Wrong(method("operator", make_coils, [(NoSettings(), scan(2, 3, 4))]), "of length one"),
    ],
}
