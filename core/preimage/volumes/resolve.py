"""Resolving a chain over the headers of its data: every preparation in its place, and what each may be cut along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr

from preimage.chain import Chain, honours_mask
from preimage.data import Preparation, check_requirements, is_small, require
from preimage.declarations import Axis
from preimage.errors import DataError, PluginError, RequestError
from preimage.likelihoods import Gaussian, data_space
from preimage.offers import members
from preimage.operators import LinearOperator
from preimage.parts import Part
from preimage.simulation import SimulationPart
from preimage.space import AnySpace, ProductSpace
from preimage.unknowns import no_such_unknown, told, unknowns_of
from preimage.volumes.planning.axes import complete
from preimage.volumes.planning.cutting import Reason, solve_axes
from preimage.volumes.planning.plan import Margins


@dataclass(frozen=True)
class Element:
    """One preparation in its place.

    Attributes
    ----------
    before, after : the dataset round it, as headers.
    axes : what it may be cut along, of the dims that it touches.
    outputs : the variables whose values it makes, small ones left out.
    proposed_by : the method that proposed it, or None.
    """

    part: Part
    preparation: Preparation
    before: xr.Dataset
    after: xr.Dataset
    axes: Mapping[str, Axis]
    outputs: tuple[str, ...]
    proposed_by: str | None


@dataclass(frozen=True)
class Resolved:
    """A chain over the headers of its data.

    Attributes
    ----------
    source : the loader's dataset, lazily opened.
    dataset : the dataset that is solved, as headers.
    axes : what the solve may be cut along.
    overlap : how far priors look along dims that may be cut, where blocks share pixels and agree on them.
    reasons : for each dim that is whole in the solve, why.
    """

    chain: Chain
    source: xr.Dataset
    elements: tuple[Element, ...]
    dataset: xr.Dataset
    domain: AnySpace
    codomain: AnySpace
    axes: Mapping[str, Axis]
    overlap: Margins
    reasons: Mapping[str, Reason]

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts, in order."""
        chain = self.chain
        prepared = [element.part for element in self.elements]
        return (chain.loader, *prepared, chain.operator, chain.likelihood, *chain.priors, chain.solver)

    @property
    def linear(self) -> bool:
        """Whether the operator is declared linear, whatever its settings."""
        return all(isinstance(m, type) and issubclass(m, LinearOperator) for m in members(self.chain.operator.declared))


def resolve(chain: Chain, *, rewrite: bool = True) -> Resolved:
    """Walk the chain from headers alone.

    Raises
    ------
    DataError : a variable that a part requires is missing or has other dims, or the measurement is not
        what the operator gives.
    RequestError : a prior or the solver is for unknowns that are not there.
    """
    source = chain.loader.make().describe()
    walk = _Walk(chain, source, rewrite)
    for part in chain.preparations:
        if "measurement" in part.requires:
            walk.simulate()
        walk.add(part)
    walk.simulate()
    walk.propose(chain.operator)
    dataset = walk.dataset
    who = f"operator {chain.operator.name}"
    for part in (chain.operator, chain.likelihood, *chain.priors, chain.solver):
        check_requirements(dataset, part.requires, f"{part.kind} {part.name}")
    if "held_out" in dataset.variables and not honours_mask(chain.operator):
        raise DataError(f"samples are held out, and {who} uses no mask: it could not leave them out")
    require(dataset, "measurement", who=who)
    spaces = chain.operator.ask("preimage_spaces", dataset=dataset)
    if spaces is None:
        raise PluginError(f"{who} does not say its spaces: its module must implement preimage_spaces")
    domain, codomain = spaces
    _check_measurement(dataset, codomain, chain)
    _check_unknowns(chain, unknowns_of(domain), who)
    axes, overlap, reasons = solve_axes(chain, dataset, domain, codomain)
    return Resolved(chain, source, tuple(walk.elements), dataset, domain, codomain, axes, overlap, reasons)


class _Walk:
    """The dataset as it is after the preparations so far."""

    def __init__(self, chain: Chain, source: xr.Dataset, rewrite: bool) -> None:
        self.chain = chain
        self.rewrite = rewrite and _is_gaussian(chain.likelihood)
        self.dataset = source
        self.elements: list[Element] = []

    def add(self, part: Part, proposed_by: str | None = None) -> None:
        """Put a preparation next, after those that it proposes before itself."""
        if proposed_by is None:
            self.propose(part)
        before = self.dataset
        check_requirements(before, part.requires, f"preparation {part.name}")
        preparation: Preparation = part.make(dataset=before)
        after = preparation.describe(before)
        outputs = tuple(name for name in part.provides if name in after.variables and not is_small(after, name))
        touched = {*part.requires, *part.provides}
        axes = complete(
            part.ask("preimage_axes", dataset=before, domain=None), _dims(before, touched), _dims(after, touched)
        )
        self.elements.append(Element(part, preparation, before, after, axes, outputs, proposed_by))
        self.dataset = after

    def propose(self, part: Part) -> None:
        """Add the preparations that a method proposes before itself."""
        if self.rewrite:
            for section in part.ask("preimage_rewrite", dataset=self.dataset) or ():
                self.add(self.chain.propose(section), proposed_by=f"{part.kind} {part.name}")

    def simulate(self) -> None:
        """Simulate the measurement if there is none, a truth, and a `[simulate]` section."""
        if "measurement" in self.dataset.variables or "truth" not in self.dataset.variables:
            return
        if self.chain.simulate is None:
            raise DataError(
                "the dataset has a truth and no measurement: add a section [simulate] to make one, "
                "such as [simulate] noise = 0.01"
            )
        self.add(SimulationPart(self.chain.operator, self.chain.likelihood, self.chain.simulate, self.chain.seed))


def _dims(dataset: xr.Dataset, names: set[str]) -> set[str]:
    return {str(dim) for name in names if name in dataset.variables for dim in dataset[name].dims}


def _is_gaussian(likelihood: Part) -> bool:
    """Whether noise is white and Gaussian, and still is after a unitary transform of the data."""
    return all(isinstance(one, type) and issubclass(one, Gaussian) for one in members(likelihood.declared))


def _check_unknowns(chain: Chain, unknowns: tuple[str, ...], who: str) -> None:
    """Priors and the solver must be for unknowns that are there, and the operator must say which are."""
    declared = tuple(chain.operator.ask("preimage_unknowns") or ())
    if set(declared) != set(unknowns):
        raise PluginError(
            f"{who} contradicts itself: by preimage_spaces {told(unknowns)}, by preimage_unknowns {told(declared)}"
        )
    for i, on in enumerate(chain.on, 1):
        if on is not None and on not in unknowns:
            raise RequestError(f"prior.{i}.on: {no_such_unknown(on, unknowns, who)}")
    chain.make_solver().check_unknowns(unknowns, chain.on)


def _check_measurement(dataset: xr.Dataset, codomain: AnySpace, chain: Chain) -> None:
    """The measurement must be what the operator gives, as the likelihood sees it; values are not read."""
    if isinstance(codomain, ProductSpace):
        return
    who = f"operator {chain.operator.name}"
    found = require(dataset, "measurement", codomain.dims, who)
    for dim, n in codomain.sizes.items():
        if found.sizes[dim] != n:
            raise DataError(f"{who} gives {n} along {dim!r}, the measurement has {found.sizes[dim]}")
    data: Any = data_space(chain.likelihood.declared, codomain)
    wanted = str(data.dtype).removeprefix("torch.")
    if str(found.dtype) != wanted:
        if data != codomain:
            who = f"likelihood {chain.likelihood.name} is of magnitudes: {who}"
        hint = " (take its real part, or choose an operator of complex data)" if found.dtype.kind == "c" else ""
        raise DataError(f"{who} gives {wanted} data, the measurement is {found.dtype}{hint}")
