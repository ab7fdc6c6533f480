"""Spaces describe tensors: named dims, shape and dtype. They never wrap one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from preimage.errors import SpaceError

Factor: TypeAlias = "float | complex | Tensor"
"""What an element may be multiplied by: a number, or a tensor (*batch, 1, …, 1); for Blocks (*batch,)."""


class Blocks(dict[str, Tensor]):
    """An element of a product space: named tensors that add, subtract and scale together.

    A container, not an array: every part is a plain tensor, in a fixed order of names.
    """

    def _paired(self, other: Mapping[str, Tensor], combine: Callable[[Tensor, Tensor], Tensor]) -> Blocks:
        if other.keys() != self.keys():
            raise SpaceError(f"these elements have different parts: {', '.join(self)} against {', '.join(other)}")
        return Blocks({name: combine(part, other[name]) for name, part in self.items()})

    def __add__(self, other: Mapping[str, Tensor]) -> Blocks:
        """Part by part."""
        return self._paired(other, torch.add)

    def __sub__(self, other: Mapping[str, Tensor]) -> Blocks:
        """Part by part."""
        return self._paired(other, torch.sub)

    def __mul__(self, factor: Factor | Mapping[str, Factor]) -> Blocks:
        """Scale all parts by one factor, a number or a tensor (*batch,), or each by its own."""
        return Blocks({name: part * _factor_for(part, name, factor) for name, part in self.items()})

    __rmul__ = __mul__

    def __neg__(self) -> Blocks:
        """Part by part."""
        return Blocks({name: -part for name, part in self.items()})

    def clone(self) -> Blocks:
        """A copy whose parts share no memory with these."""
        return Blocks({name: part.clone() for name, part in self.items()})

    def detach(self) -> Blocks:
        """The same values, outside any graph."""
        return Blocks({name: part.detach() for name, part in self.items()})

    def to(self, device: torch.device | str) -> Blocks:
        """The same values on another device."""
        return Blocks({name: part.to(device) for name, part in self.items()})


pytree.register_pytree_node(
    Blocks,
    lambda blocks: (list(blocks.values()), list(blocks)),
    lambda parts, names: Blocks(zip(names, parts, strict=True)),
    serialized_type_name="preimage.Blocks",
)

Element: TypeAlias = "Tensor | Blocks"


def _factor_for(part: Tensor, name: str, factor: Factor | Mapping[str, Factor]) -> Factor:
    """View a factor (*batch,) of the whole element so that it broadcasts against one of its parts."""
    if isinstance(factor, Mapping):
        factor = factor[name]
    if isinstance(factor, Tensor) and factor.ndim:
        return factor.reshape(*factor.shape, *[1] * (part.ndim - factor.ndim))
    return factor


def leaves(x: Element) -> list[Tensor]:
    """The tensors of an element."""
    return list(x.values()) if isinstance(x, Blocks) else [x]


def owned_add(y: Any, x: Any, alpha: Factor) -> Any:
    """y + alpha · x, for a y that belongs to the caller and is not needed again.

    Reuses the memory of y where no gradient is recorded. Never reads alpha on the host, so that a step
    does not wait for the device.
    """
    if isinstance(y, Blocks):
        return Blocks({name: owned_add(part, x[name], _factor_for(part, name, alpha)) for name, part in y.items()})
    if torch.is_grad_enabled():
        return y + alpha * x
    if not isinstance(alpha, Tensor):
        return y.add_(x, alpha=alpha)
    if _is_real_scaling(y, x, alpha):
        torch.view_as_real(y).addcmul_(*_as_real(x, alpha))
        return y
    return y.addcmul_(x, alpha.to(y.dtype))


def owned_aypx(y: Any, x: Any, alpha: Factor) -> Any:
    """alpha · y + x, for a y that belongs to the caller and is not needed again; the companion of `owned_add`."""
    if isinstance(y, Blocks):
        return Blocks({name: owned_aypx(part, x[name], _factor_for(part, name, alpha)) for name, part in y.items()})
    if torch.is_grad_enabled():
        return x + y * alpha
    if not isinstance(alpha, Tensor):
        return torch.add(x, y, alpha=alpha, out=y)
    if _is_real_scaling(y, x, alpha):
        whole, factor = _as_real(x, alpha)
        torch.addcmul(whole, torch.view_as_real(y), factor, out=torch.view_as_real(y))
        return y
    return torch.addcmul(x, y, alpha.to(y.dtype), out=y)


def _is_real_scaling(y: Tensor, x: Tensor, alpha: Tensor) -> bool:
    """Whether real and imaginary parts may be treated as so many real numbers: half the work, up to twice as fast."""
    return y.is_complex() and x.dtype == y.dtype and not alpha.is_complex() and not y.is_conj()


def _as_real(x: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """A complex tensor and a real factor of it, over the numbers of which it is made."""
    return torch.view_as_real(x.resolve_conj()), alpha.to(x.dtype.to_real()).unsqueeze(-1)


def safe_divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """numerator / denominator, and 0 where the denominator is 0, with a gradient that is 0 there too."""
    zero = denominator == 0
    return torch.where(zero, torch.zeros_like(numerator), numerator / torch.where(zero, 1, denominator))


@dataclass(frozen=True)
class Space:
    """Tensors with named dims. Leading batch dims are allowed everywhere and mean independent problems.

    Attributes
    ----------
    dims : names, outermost first.
    shape : lengths of the dims, without batch.
    dtype : a real or complex floating dtype.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: torch.dtype = torch.complex64

    def __post_init__(self) -> None:
        """Check that the description is one."""
        if len(self.dims) != len(self.shape):
            raise SpaceError(f"a space with dims {self.dims} cannot have the shape {self.shape}")
        if len(set(self.dims)) != len(self.dims):
            raise SpaceError(f"a space has every dim once, not {self.dims}")

    @property
    def ndim(self) -> int:
        """Number of dims, without batch."""
        return len(self.dims)

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each dim."""
        return dict(zip(self.dims, self.shape, strict=True))

    @property
    def nbytes(self) -> int:
        """Bytes of one element."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def is_complex(self) -> bool:
        """Whether elements are complex."""
        return self.dtype.is_complex

    @property
    def real(self) -> Space:
        """The same dims in real numbers of the same precision."""
        return Space(self.dims, self.shape, self.dtype.to_real())

    def with_dtype(self, dtype: torch.dtype) -> Space:
        """The same dims in the precision of `dtype`; complex stays complex and real stays real."""
        return Space(self.dims, self.shape, same_field(self.dtype, dtype))

    def axis(self, dim: str) -> int:
        """Index of a dim, negative, so that it holds with any batch dims."""
        if dim not in self.dims:
            raise SpaceError(f"there is no dim {dim!r} among {', '.join(self.dims)}")
        return self.dims.index(dim) - self.ndim

    def batch(self, x: Any) -> tuple[int, ...]:
        """Shape of the batch dims of an element."""
        return tuple(x.shape[: x.ndim - self.ndim])

    def zeros(self, batch: tuple[int, ...] = (), device: torch.device | str | None = None) -> Tensor:
        """The zero element."""
        return torch.zeros((*batch, *self.shape), dtype=self.dtype, device=device)

    def randn(
        self,
        generator: torch.Generator | None = None,
        batch: tuple[int, ...] = (),
        device: torch.device | str | None = None,
    ) -> Tensor:
        """White noise with E|n|² = 1, real or complex. Drawn on the CPU: the same on every device."""
        drawn = torch.randn((*batch, *self.shape), dtype=self.dtype, generator=generator)
        return drawn if device is None else drawn.to(device)

    def check(self, x: Tensor) -> Tensor:
        """Return x if it is an element, else raise `SpaceError` naming the first thing that is wrong."""
        if not isinstance(x, Tensor):
            raise SpaceError(f"expected a tensor with dims {', '.join(self.dims)}, got {type(x).__name__}")
        if x.ndim < self.ndim:
            raise SpaceError(f"expected dims {', '.join(self.dims)}, got a tensor of shape {tuple(x.shape)}")
        if tuple(x.shape[x.ndim - self.ndim :]) != self.shape:
            got = x.shape[x.ndim - self.ndim :]
            dim, wanted, n = next(t for t in zip(self.dims, self.shape, got, strict=True) if t[1] != t[2])
            raise SpaceError(f"dim {dim!r} should have length {wanted}, it has {n} (shape {tuple(x.shape)})")
        if x.dtype != self.dtype:
            raise SpaceError(f"expected {self.dtype}, got {x.dtype}: convert it with .to({self.dtype})")
        return x

    def inner(self, u: Tensor, v: Tensor) -> Tensor:
        """⟨u, v⟩ = Σ ū v, shape (*batch, 1, …, 1): dims are kept, so that step sizes broadcast."""
        if u.ndim == self.ndim and u.is_contiguous() and v.is_contiguous():
            return torch.vdot(u.reshape(-1), v.reshape(-1)).reshape((1,) * self.ndim)
        return (u.conj() * v).sum(tuple(range(-self.ndim, 0)), keepdim=True)

    def squared_norm(self, u: Tensor) -> Tensor:
        """‖u‖², real, shape (*batch, 1, …, 1)."""
        return self.inner(u, u).real


class ProductSpace(Mapping[str, Space]):
    """Several named spaces: several unknowns, or stacked data. An element is `Blocks` with the same names."""

    def __init__(self, **parts: Space) -> None:
        self._parts = parts

    def __getitem__(self, name: str) -> Space:
        """One of the spaces."""
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._parts)

    def __len__(self) -> int:
        """Number of parts."""
        return len(self._parts)

    def __eq__(self, other: object) -> bool:
        """Equal names in equal order, with equal spaces."""
        return isinstance(other, ProductSpace) and list(self.items()) == list(other.items())

    def __hash__(self) -> int:
        """Hash of the names and spaces."""
        return hash(tuple(self.items()))

    def __repr__(self) -> str:
        """How it is made."""
        return f"ProductSpace({', '.join(f'{name}={space}' for name, space in self.items())})"

    @property
    def nbytes(self) -> int:
        """Bytes of one element."""
        return sum(space.nbytes for space in self.values())

    @property
    def is_complex(self) -> bool:
        """Whether any part is complex."""
        return any(space.is_complex for space in self.values())

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each dim of each part; a dim that several parts have is named once."""
        return {dim: n for space in self.values() for dim, n in space.sizes.items()}

    @property
    def real(self) -> ProductSpace:
        """The same spaces in real numbers."""
        return ProductSpace(**{name: space.real for name, space in self.items()})

    def with_dtype(self, dtype: torch.dtype) -> ProductSpace:
        """The same spaces in the precision of `dtype`."""
        return ProductSpace(**{name: space.with_dtype(dtype) for name, space in self.items()})

    def batch(self, x: Any) -> tuple[int, ...]:
        """Shape of the batch dims of an element."""
        name = next(iter(self))
        return self[name].batch(x[name])

    def zeros(self, batch: tuple[int, ...] = (), device: torch.device | str | None = None) -> Blocks:
        """The zero element."""
        return Blocks({name: space.zeros(batch, device) for name, space in self.items()})

    def randn(
        self,
        generator: torch.Generator | None = None,
        batch: tuple[int, ...] = (),
        device: torch.device | str | None = None,
    ) -> Blocks:
        """White noise with E|n|² = 1 in every part, drawn on the CPU."""
        return Blocks({name: space.randn(generator, batch, device) for name, space in self.items()})

    def check(self, x: Blocks) -> Blocks:
        """Return x if it is an element, else raise `SpaceError` naming the part and what is wrong with it."""
        if not isinstance(x, Mapping) or set(x) != set(self):
            got = ", ".join(x) if isinstance(x, Mapping) else type(x).__name__
            raise SpaceError(f"expected Blocks with the parts {', '.join(self)}, got {got}")
        for name, space in self.items():
            try:
                space.check(x[name])
            except SpaceError as error:
                raise SpaceError(f"part {name!r}: {error}") from None
        return x

    def inner(self, u: Blocks, v: Blocks) -> Tensor:
        """Re ⟨u, v⟩ summed over the parts, shape (*batch,): the ranks of the parts differ, so no dims are kept."""
        parts = (space.inner(u[name], v[name]).reshape(space.batch(u[name])).real for name, space in self.items())
        return torch.stack(list(parts)).sum(0)

    def squared_norm(self, u: Blocks) -> Tensor:
        """‖u‖² summed over the parts, shape (*batch,)."""
        return self.inner(u, u)


AnySpace: TypeAlias = "Space | ProductSpace"


def same_field(dtype: torch.dtype, precision: torch.dtype) -> torch.dtype:
    """`precision` as a complex dtype if `dtype` is complex, else as a real one."""
    if dtype.is_complex:
        return precision.to_complex()
    return precision.to_real() if dtype.is_floating_point else dtype
