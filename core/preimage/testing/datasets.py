"""Datasets for laws: in another precision, with headers alone, cut into blocks, compared."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from preimage.data import is_small, lazy
from preimage.declarations import Axis
from preimage.testing.law import LawBroken, NotOffered

_REAL: dict[torch.dtype, np.dtype[Any]] = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}
_COMPLEX: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.complex64),
    torch.float64: np.dtype(np.complex128),
}


def in_precision(dataset: xr.Dataset, dtype: torch.dtype) -> xr.Dataset:
    """A copy whose real and complex variables have a precision; integers, masks and coordinates stay."""
    kinds = {"f": _REAL[dtype], "c": _COMPLEX[dtype]}
    variables = {
        name: (array.dims, array.values.astype(kinds[array.dtype.kind]), array.attrs)
        for name, array in dataset.data_vars.items()
        if array.dtype.kind in kinds
    }
    return dataset.assign(variables)


def headers_alone(dataset: xr.Dataset, who: str) -> xr.Dataset:
    """A copy in which reading a variable that is not marked small breaks a law; index coordinates are read by xarray.

    Parameters
    ----------
    who : what is given the copy, named in the message.
    """
    closed = {}
    for name, array in dataset.data_vars.items():
        if not is_small(dataset, str(name)):
            dims = tuple(map(str, array.dims))
            attrs = {str(key): value for key, value in array.attrs.items()}
            closed[name] = lazy(dims, array.shape, array.dtype, _refusing(str(name), who), **attrs)
    return dataset.assign(closed)


def _refusing(name: str, who: str) -> Any:
    def refuse(_: tuple[int | slice, ...]) -> NoReturn:
        raise LawBroken(
            f"{who} reads the values of {name!r}, and may look at headers alone: take shapes, dtypes and attrs, "
            "or let the loader mark a variable that is small with attrs['small'] = True"
        )

    return refuse


@dataclass(frozen=True)
class Cut:
    """One block along a dim.

    Attributes
    ----------
    dim, axis : the dim and how it is declared.
    block : the block itself.
    read : the block and its halo, as far as the array goes.
    """

    dim: str
    axis: Axis
    block: slice
    read: slice

    @property
    def inner(self) -> slice:
        """Where the block lies in what is read."""
        return slice(self.block.start - self.read.start, self.block.stop - self.read.start)

    def __str__(self) -> str:
        """What it is called in messages."""
        return f"the block {self.block.start}:{self.block.stop} of {self.dim!r}"


def cuttings(axes: Mapping[str, Axis], sizes: Mapping[str, int]) -> Iterator[list[Cut]]:
    """Yield two ways of cutting into blocks along each dim that is declared split or halo, and is long enough to tell.

    Raises
    ------
    NotOffered : there is none.
    """
    reaches = {dim: axis.reach for dim, axis in axes.items() if axis.reach is not None}
    if not reaches:
        raise NotOffered("every dim is whole")
    long_enough = {dim: reach for dim, reach in reaches.items() if sizes.get(dim, 0) > reach + 1}
    if not long_enough:
        raise NotOffered(f"no example is long enough along {', '.join(reaches)} to be cut in two")
    for dim, reach in long_enough.items():
        n = sizes[dim]
        for blocks in blockings(n):
            reads = [slice(max(block.start - reach, 0), min(block.stop + reach, n)) for block in blocks]
            yield [Cut(dim, axes[dim], block, read) for block, read in zip(blocks, reads, strict=True)]


def blockings(length: int) -> list[list[slice]]:
    """Two ways of cutting a dim into blocks, of unequal lengths and of length one."""
    half = length // 2
    cuts = [(half,), (1, length - 1)] if length > 2 else [(half,)]
    return [[slice(*ends) for ends in itertools.pairwise((0, *cut, length))] for cut in cuts]


def expect_same_header(found: xr.Dataset, expected: xr.Dataset, message: str) -> None:
    """Raise `LawBroken` unless two datasets have the same variables, dims, shapes, dtypes and attrs."""
    if set(found.variables) != set(expected.variables):
        raise LawBroken(f"{message}: the variables are {_names(found)} against {_names(expected)}")
    for name in expected.variables:
        one, other = found[name].variable, expected[name].variable
        for what in ("dims", "shape", "dtype"):
            if getattr(one, what) != getattr(other, what):
                raise LawBroken(f"{message}: {name!r} has {what} {getattr(one, what)} against {getattr(other, what)}")
        expect_same_attrs(one.attrs, other.attrs, f"{message}: {name!r}")
    expect_same_attrs(found.attrs, expected.attrs, message)


def expect_same_attrs(found: Mapping[Any, Any], expected: Mapping[Any, Any], message: str) -> None:
    """Raise `LawBroken` unless the attrs are the same."""
    for key in expected.keys() | found.keys():
        if key not in found or key not in expected or not np.array_equal(found[key], expected[key]):
            raise LawBroken(f"{message} has the attribute {key!r} {found.get(key)!r} against {expected.get(key)!r}")


def expect_same_values(found: xr.Dataset, expected: xr.Dataset, message: str, tolerance: float = 0.0) -> None:
    """Raise `LawBroken` unless ‖found − expected‖ ≤ tolerance · ‖expected‖ for every variable."""
    for name in expected.variables:
        one, other = np.asarray(found[name].values), np.asarray(expected[name].values)
        if one.shape != other.shape:
            raise LawBroken(f"{message}: {name!r} has the shape {one.shape} against {other.shape}")
        if not _close(one, other, tolerance):
            raise LawBroken(f"{message}: the values of {name!r} differ by {_difference(one, other)}")


def _close(one: NDArray[Any], other: NDArray[Any], tolerance: float) -> bool:
    if tolerance == 0 or other.dtype.kind not in "fc":
        return np.array_equal(one, other, equal_nan=other.dtype.kind in "fc")
    return bool(np.linalg.norm(one - other) <= tolerance * np.linalg.norm(other))


def _difference(one: NDArray[Any], other: NDArray[Any]) -> str:
    if other.dtype.kind not in "iufcb":
        return f"{one!r} against {other!r}"
    worst = np.abs(one.astype(complex) - other.astype(complex)).max(initial=0)
    return f"up to {worst:.2e}, where they are up to {np.abs(other.astype(complex)).max(initial=0):.2e}"


def _names(dataset: xr.Dataset) -> str:
    return ", ".join(sorted(map(str, dataset.variables))) or "none"
