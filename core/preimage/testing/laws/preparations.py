"""Laws of preparations: headers first, fitted once, applied block by block."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import xarray as xr

from preimage.data import check_requirements, located
from preimage.declarations import Axis
from preimage.errors import DataError
from preimage.testing.comparing import DOUBLE
from preimage.testing.datasets import cuttings, expect_same_header, expect_same_values, headers_alone, in_precision
from preimage.testing.examples import DatasetExample, Examined
from preimage.testing.law import LawBroken, Laws
from preimage.testing.laws.planning import expect_planned, expect_requires

PREPARATIONS = Laws()

BLOCKS = 1e-10
"""Of a block alone and in the whole: rounding in double precision, and its growth in a chain of formulas."""


@PREPARATIONS.all
def requires(subject: Examined) -> None:
    """`requires` names variables and dims that the examples have, and all that no example can do without."""
    expect_requires(subject, lambda example, dataset: _applied(example, dataset))


@PREPARATIONS.all
def provides(subject: Examined) -> None:
    """`provides` names variables that are there after some example at least, and wherever they are with these dims."""
    promised = subject.method.provides
    afterwards = [_applied(example, example.given) for example in subject.examples]
    for name in promised:
        having = [after for after in afterwards if name in after.variables] or afterwards[:1]
        for after in having:
            try:
                check_requirements(after, {name: promised[name]}, "provides")
            except DataError as error:
                raise LawBroken(f"{error}") from None


@PREPARATIONS.each
def headers_only(example: DatasetExample) -> None:
    """It is made, and says what will be, from headers alone."""
    closed = headers_alone(example.given, "planning")
    preparation = example.on(closed)
    described = preparation.describe(closed)
    if not isinstance(described, xr.Dataset):
        raise LawBroken(f"describe returns {type(described).__name__}, not an xarray.Dataset")
    region = preparation.reads(closed)
    strange = [dim for dim in region if dim not in closed.dims]
    if strange:
        raise LawBroken(f"reads names {strange}: the dataset has no such dims")
    expect_planned(example.method, settings=example.settings, dataset=closed)


@PREPARATIONS.each
def as_described(example: DatasetExample) -> None:
    """What describe promises is what apply gives: variables, dims, shapes, dtypes, attrs."""
    dataset = example.given
    described = example.on(dataset).describe(headers_alone(dataset, "describe"))
    expect_same_header(_applied(example, dataset), described, "what apply gives against what describe says")


@PREPARATIONS.each
def blocks(example: DatasetExample) -> None:
    """Fitted once and applied to blocks along dims declared split or halo, it gives the blocks of the whole."""
    dataset = in_precision(example.given, DOUBLE)
    declared: Mapping[str, Axis] = example.method.ask("preimage_axes", settings=example.settings, dataset=dataset) or {}
    preparation = example.on(dataset)
    fitted = _fitted(preparation, dataset)
    whole = preparation.apply(dataset, fitted)
    before, after = dataset.sizes, whole.sizes
    kept = {str(dim): n for dim, n in before.items() if after.get(dim) == n}
    lost = [dim for dim, axis in declared.items() if axis.reach is not None and dim not in kept]
    if lost:
        raise LawBroken(f"{', '.join(lost)} may be cut, it says, and has not one length before and after: it is whole")
    for cut in itertools.chain.from_iterable(cuttings(declared, kept)):
        part = located(dataset, {cut.dim: cut.read})
        fitted_part = fitted.isel({cut.dim: cut.read}) if cut.dim in fitted.dims else fitted
        found = example.on(part).apply(part, fitted_part).isel({cut.dim: cut.inner})
        message = f"{cut}, which is declared {cut.axis}, alone and in the whole"
        expect_same_values(found, whole.isel({cut.dim: cut.block}), message, BLOCKS)


@PREPARATIONS.each
def purity(example: DatasetExample) -> None:
    """Fitting and applying leave the dataset as it is, and give the same a second time."""
    dataset = example.given.copy(deep=True)
    preparation = example.on(dataset)
    first_fit = _fitted(preparation, dataset)
    kept = first_fit.copy(deep=True)
    first = preparation.apply(dataset, first_fit).copy(deep=True)
    for found, expected, what in ((dataset, example.given, "its dataset"), (first_fit, kept, "what was fitted")):
        expect_same_header(found, expected, f"it changes {what}: {what} afterwards against before")
        expect_same_values(found, expected, f"it changes {what}: {what} afterwards against before")
    second = preparation.apply(dataset, _fitted(preparation, dataset))
    expect_same_values(second, first, "a second application against the first")


def _fitted(preparation: Any, dataset: xr.Dataset) -> xr.Dataset:
    """What is fitted, from the region alone that is asked for."""
    return preparation.fit(dataset.isel(dict(preparation.reads(dataset))))  # type: ignore[no-any-return]


def _applied(example: DatasetExample, dataset: xr.Dataset) -> xr.Dataset:
    preparation = example.on(dataset)
    return preparation.apply(dataset, _fitted(preparation, dataset))  # type: ignore[no-any-return]
