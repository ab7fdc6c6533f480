"""A chain: the parts of one run, from where data come from to how they are solved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import xarray as xr

from preimage.data import tensor
from preimage.errors import DataError, RunError
from preimage.likelihoods import data_space
from preimage.parts import Part
from preimage.problem import Problem
from preimage.run_settings import SimulateSettings
from preimage.solving import Solver
from preimage.space import AnySpace, ProductSpace
from preimage.unknowns import unknown


@dataclass(frozen=True)
class Chain:
    """The parts of a run.

    Attributes
    ----------
    on : for each prior the name of the unknown that it is for, or None.
    simulate : how a missing measurement is simulated; None if it is not.
    seed : the run's.
    propose : makes the part of a `[[preparation]]` section that a method proposes before itself.
    """

    loader: Part
    preparations: tuple[Part, ...]
    operator: Part
    likelihood: Part
    priors: tuple[Part, ...]
    on: tuple[str | None, ...]
    solver: Part
    simulate: SimulateSettings | None
    seed: int
    propose: Callable[[Mapping[str, Any]], Part]

    def make_solver(self) -> Solver:
        """The solver, which a worker makes once."""
        return self.solver.make()  # type: ignore[no-any-return]

    def make_problem(
        self,
        dataset: xr.Dataset,
        shared: dict[str, Any],
        *,
        scalars: Mapping[str, float] | None = None,
        normalise: bool = False,
        seed: int = 0,
        with_priors: bool = True,
    ) -> Problem:
        """The problem of one block of the prepared dataset.

        Parameters
        ----------
        scalars : numbers of the whole run; with `normalise` the data are divided by its `scale`.
        seed : the block's.

        Raises
        ------
        RunError : the measurement has values that are not finite.
        """
        scalars = scalars or {}
        operator = self.operator.make(dataset=dataset, shared=shared)
        likelihood = self.likelihood.make(dataset=dataset)
        space = data_space(likelihood, operator.codomain)
        y = read_measurement(dataset, space, masked=honours_mask(self.operator))
        if normalise:
            y = y * (1 / scalars["scale"])
            likelihood = rescaled(likelihood, 1 / scalars["scale"])
        priors = tuple(
            part.make(domain=unknown(operator.domain, on), dataset=dataset, shared=shared)
            for part, on in zip(self.priors, self.on, strict=True)
            if with_priors
        )
        on = self.on if with_priors else ()
        return Problem(y, operator, likelihood, priors, on, dict(scalars), seed)


def honours_mask(operator: Part) -> bool:
    """Whether an operator measures nothing where the dataset's `mask` is False."""
    return "mask" in operator.requires or "mask" in operator.uses


def read_measurement(dataset: xr.Dataset, space: AnySpace, *, masked: bool = False) -> Any:
    """The measurement as an element of the space of the data.

    Parameters
    ----------
    masked : whether it is 0 where `mask` is False; what was not measured may then be anything, also not a number.

    Raises
    ------
    DataError : it is missing, or its dims, shape or dtype are not those of the space.
    RunError : some of it is not finite.
    """
    if isinstance(space, ProductSpace):
        raise DataError("this operator's data have several parts; a dataset has one measurement")
    y = tensor(dataset, "measurement", space.dims)
    if masked and "mask" in dataset.variables and set(dataset["mask"].dims) <= set(space.dims):
        y = torch.where(read_mask(dataset, "mask", space.dims), y, 0)
    if masked and "held_out" in dataset.variables:
        y = torch.where(read_mask(dataset, "held_out", space.dims), 0, y)
    _check_finite(y, space.dims, "mask them out, or mend the data" if masked else "mend the data")
    return space.check(y)


def _check_finite(y: torch.Tensor, dims: tuple[str, ...], cure: str) -> None:
    if bool(y.sum().isfinite()):  # then all are, and that is found without an array of answers
        return
    bad = ~torch.isfinite(y)
    if bool(bad.any()):
        first = dict(zip(dims, (int(i) for i in bad.nonzero()[0]), strict=True))
        raise RunError(
            f"the measurement has {int(bad.sum())} values that are not finite, "
            f"the first in this block at {first}: {cure}"
        )


def read_mask(dataset: xr.Dataset, name: str, dims: tuple[str, ...]) -> torch.Tensor:
    """`mask` or `held_out` as a boolean tensor that broadcasts over the dims of the measurement.

    `held_out` is True where a sample is kept from the solver to judge it by; such samples are outside `mask`.
    """
    found = dataset[name]
    ordered = tuple(dim for dim in dims if dim in found.dims)
    return tensor(dataset, name, ordered).bool().reshape([found.sizes.get(dim, 1) for dim in dims])


def rescaled(likelihood: Any, factor: float) -> Any:
    """The likelihood of data multiplied by `factor`, where its own numbers are in the units of the data."""
    return likelihood.rescaled(factor) if hasattr(likelihood, "rescaled") else likelihood
