"""How object and data lie, from the headers of a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import xarray as xr

from preimage.data import require, torch_dtype
from preimage.errors import DataError
from preimage.space import Space
from preimage_optics.maps.diffraction import PATTERN
from preimage_optics.maps.gaussian import SAMPLE

_FLOATING = ("float32", "float64")


@dataclass(frozen=True)
class Layout:
    """The object, and the lengths of its data where there are any.

    Attributes
    ----------
    object : its space.
    measured : length of each dim of the measurement; empty where it has yet to be simulated.
    """

    object: Space
    measured: Mapping[str, int]

    def length(self, dim: str, given: float | None, default: float, per: int = 1) -> int:
        """A length of the data: `given` for each of `per`; else the measurement's; else the default for each."""
        if given is None and dim in self.measured:
            return self.measured[dim]
        return ceil_of(default if given is None else given, per)


def layout(
    dataset: xr.Dataset,
    dims: tuple[str, ...],
    sizes: Mapping[str, int],
    oversampling: float | None,
    *,
    is_complex: bool,
    who: str,
) -> Layout:
    """Where the object's lengths are from: its truth; what is known as `sizes`; the patterns over the oversampling.

    Parameters
    ----------
    dims : dims of the object that are measured together.
    sizes : lengths of all of these; empty where they are not known.
    oversampling : length of a pattern over the object's; None where data do not tell the object's lengths.

    Raises
    ------
    DataError : neither is there, dims are missing, or values are not of the right kind.
    """
    has_data, has_truth = ("measurement" in dataset.variables, "truth" in dataset.variables)
    if not has_data and not has_truth:
        has = ", ".join(map(str, dataset.data_vars)) or "no variable"
        raise DataError(f"{who} needs a 'measurement', or a 'truth' to simulate one from: the dataset has {has}")
    measured = _measured(dataset, who) if has_data else {}
    if has_truth:
        lengths = _lengths_of_truth(dataset, dims, is_complex, who)
    else:
        lengths = _lengths_of_data(measured, dims, sizes, oversampling, who)
    dtype = torch_dtype(dataset, "measurement" if has_data else "truth").to_real()
    return Layout(Space(tuple(lengths), tuple(lengths.values()), dtype.to_complex() if is_complex else dtype), measured)


def ceil_of(factor: float, n: int) -> int:
    """factor · n, rounded up; what rounding put above a whole number does not count."""
    return math.ceil(factor * n - 1e-9)


def _measured(dataset: xr.Dataset, who: str) -> Mapping[str, int]:
    found = require(dataset, "measurement")
    if found.dtype.name not in _FLOATING:
        cure = "take its magnitude" if found.dtype.kind == "c" else "convert it"
        raise DataError(f"{who} needs 'measurement' as {' or '.join(_FLOATING)}: it is {found.dtype}; {cure}")
    return {str(dim): n for dim, n in found.sizes.items()}


def _lengths_of_truth(dataset: xr.Dataset, dims: tuple[str, ...], is_complex: bool, who: str) -> dict[str, int]:
    found = require(dataset, "truth")
    if found.dtype.kind not in "fc":
        raise DataError(f"{who} needs 'truth' as real or complex numbers: it is {found.dtype}; convert it")
    if found.dtype.kind == "c" and not is_complex:
        raise DataError(f"{who} is told that the object is real, and 'truth' is {found.dtype}")
    lengths = {str(dim): n for dim, n in found.sizes.items()}
    _require_dims("truth", lengths, dims, who)
    return lengths


def _lengths_of_data(
    measured: Mapping[str, int],
    dims: tuple[str, ...],
    sizes: Mapping[str, int],
    oversampling: float | None,
    who: str,
) -> dict[str, int]:
    """Those of the dims that object and data share, and of the dims that are measured together."""
    if oversampling is None:
        _require_dims("measurement", measured, (SAMPLE,), who)
        if not sizes:
            raise DataError(f"{who} cannot tell the lengths of the object from samples: set sizes, such as {{ x = 8 }}")
        return {**{dim: n for dim, n in measured.items() if dim != SAMPLE}, **{dim: sizes[dim] for dim in dims}}
    patterns = {f"k{dim}": dim for dim in dims}
    _require_dims("measurement", measured, patterns, who)
    found = {patterns.get(dim, dim): n for dim, n in measured.items() if dim != PATTERN}
    lengths = sizes or {dim: math.floor(found[dim] / oversampling + 1e-9) for dim in dims}
    return {dim: lengths.get(dim, n) for dim, n in found.items()}


def _require_dims(name: str, lengths: Mapping[str, int], dims: Iterable[str], who: str) -> None:
    missing = [dim for dim in dims if dim not in lengths]
    if missing:
        has = ", ".join(lengths) or "none"
        raise DataError(f"{who} needs {name!r} with the dim {missing[0]!r}: it has {has}; see its setting dims")
