"""Resolving a chain over the headers of its data: every preparation in its place, and what each may be cut along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr

from preimage.chain import Chain, honours_mask, unknown
from preimage.data import Preparation, check_requirements, is_small, require
from preimage.declarations import Axis, whole
from preimage.errors import DataError, PluginError
from preimage.offers import members
from preimage.operators import LinearOperator
from preimage.parts import Part
from preimage.simulation import SimulationPart
from preimage.space import AnySpace, ProductSpace
from preimage.volumes.axes import chained, complete, iterated


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
    reasons : for each dim that is whole in the solve, who says so.
    """

    chain: Chain
    source: xr.Dataset
    elements: tuple[Element, ...]
    dataset: xr.Dataset
    domain: AnySpace
    codomain: AnySpace
    axes: Mapping[str, Axis]
    reasons: Mapping[str, str]

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
    _check_measurement(dataset, codomain, who)
    axes, reasons = _solve_axes(chain, dataset, domain, codomain)
    return Resolved(chain, source, tuple(walk.elements), dataset, domain, codomain, axes, reasons)


class _Walk:
    """The dataset as it is after the preparations so far."""

    def __init__(self, chain: Chain, source: xr.Dataset, rewrite: bool) -> None:
        self.chain = chain
        self.rewrite = rewrite
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


def _check_measurement(dataset: xr.Dataset, codomain: AnySpace, who: str) -> None:
    """The measurement must be what the operator gives; values are not read."""
    if isinstance(codomain, ProductSpace):
        return
    found = require(dataset, "measurement", codomain.dims, who)
    for dim, n in codomain.sizes.items():
        if found.sizes[dim] != n:
            raise DataError(f"{who} gives {n} along {dim!r}, the measurement has {found.sizes[dim]}")
    wanted = str(codomain.dtype).removeprefix("torch.")
    if str(found.dtype) != wanted:
        hint = " (take its real part, or choose an operator of complex data)" if found.dtype.kind == "c" else ""
        raise DataError(f"{who} gives {wanted} data, the measurement is {found.dtype}{hint}")


def _solve_axes(
    chain: Chain, dataset: xr.Dataset, domain: AnySpace, codomain: AnySpace
) -> tuple[dict[str, Axis], dict[str, str]]:
    """What the solve may be cut along, and who makes a dim whole."""
    label = f"operator {chain.operator.name}"
    declared = chain.operator.ask("preimage_axes", dataset=dataset, domain=domain)
    parts = {label: complete(declared, domain.sizes, codomain.sizes)}
    for i, (part, on) in enumerate(zip(chain.priors, chain.on, strict=True), 1):
        space = unknown(domain, on)
        declared = part.ask("preimage_axes", dataset=dataset, domain=space)
        parts[f"prior {i} ({part.name})"] = complete(declared, space.sizes, space.sizes)
    if isinstance(domain, ProductSpace):  # blocks along a dim would each find another of an unknown that lacks it
        for name, space in domain.items():
            parts[f"unknown {name}"] = dict.fromkeys([dim for dim in domain.sizes if dim not in space.dims], whole)
    if not chain.make_solver().one_pass:
        parts = {who: iterated(axes) for who, axes in parts.items()}
    reasons: dict[str, str] = {}
    for who, axes in parts.items():
        for dim, axis in axes.items():
            if axis.reach is None:
                reasons.setdefault(dim, who)
    return chained(*parts.values()), reasons
