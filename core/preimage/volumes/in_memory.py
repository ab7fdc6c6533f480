"""Solving a dataset that is in memory, in one block, without a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import xarray as xr

from preimage.chain import Chain
from preimage.data import Preparation, check_requirements, located, variable
from preimage.parts import Part
from preimage.run_settings import ComputeSettings
from preimage.settings import Settings
from preimage.solving import check_finite, solve
from preimage.space import Blocks
from preimage.volumes.devices import choose_device
from preimage.volumes.planning.layouts import estimate_spaces
from preimage.volumes.planning.planner import normalises
from preimage.volumes.resolve import resolve
from preimage.volumes.tasks.numbers import run_numbers
from preimage.volumes.tasks.worker import block_seed


@dataclass(frozen=True)
class GivenDataset:
    """A loader, as a part of a chain, of a dataset that is there already."""

    dataset: xr.Dataset
    kind: str = "loader"
    name: str = "given"

    @property
    def origin(self) -> Mapping[str, str]:
        """The caller."""
        return {}

    @property
    def settings(self) -> Settings:
        """None to speak of."""
        return Settings()

    @property
    def declared(self) -> Any:
        """What `make` returns."""
        return GivenDataset

    @property
    def requires(self) -> Mapping[str, tuple[str, ...]]:
        """Nothing."""
        return {}

    provides = requires

    @property
    def uses(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def make(self, **context: Any) -> GivenDataset:
        """The loader."""
        return self

    def ask(self, hook: str, **context: Any) -> Any | None:
        """It has no other hooks."""
        return None

    def describe(self) -> xr.Dataset:
        """The dataset."""
        return self.dataset


def prepare_in_memory(dataset: xr.Dataset, preparations: Sequence[Part], device: torch.device) -> xr.Dataset:
    """The dataset after preparations, all of it in memory."""
    attributes = dict(dataset.attrs)
    for part in preparations:
        check_requirements(dataset, part.requires, f"preparation {part.name}")
        preparation: Preparation = part.make(dataset=dataset)
        whole = located(dataset, {}, device)
        fitted = preparation.fit(whole.isel(dict(preparation.reads(dataset))))
        dataset = preparation.apply(whole, fitted)
    dataset.attrs = attributes
    return dataset


def solve_in_memory(chain: Chain, compute: ComputeSettings) -> xr.DataArray | xr.Dataset:
    """Prepare and solve the dataset of a chain's loader, and return the estimate."""
    device = choose_device(compute.device)
    resolved = resolve(chain, rewrite=compute.rewrite)
    parts = tuple(element.part for element in resolved.elements)
    dataset = located(prepare_in_memory(resolved.source, parts, device), {}, device)
    normalise = normalises(resolved, compute)[0]
    shared: dict[str, Any] = {}
    numbers: dict[str, float] = {}
    if wanted := run_numbers(chain, normalise):
        bare = chain.make_problem(dataset, shared, with_priors=False)
        with torch.no_grad():
            numbers = {name: scalar.partial(bare) for name, scalar in wanted.items()}
    seed = block_seed(chain.seed, resolved.domain, {})
    problem = chain.make_problem(dataset, shared, scalars=numbers, normalise=normalise, seed=seed)
    solver = chain.make_solver()
    state = solve(solver, problem)
    check_finite(chain.solver.name, state, solver.stop)
    scale = numbers["scale"] if normalise else 1.0
    arrays = {}
    for name, space in estimate_spaces(resolved.domain).items():
        part = state.x[name.removeprefix("estimate_")] if isinstance(state.x, Blocks) else state.x
        coords = {dim: resolved.dataset.coords[dim] for dim in space.dims if dim in resolved.dataset.coords}
        arrays[name] = xr.DataArray(variable(part * scale, space.dims), coords=coords, name=name)
    return arrays["estimate"] if list(arrays) == ["estimate"] else xr.Dataset(arrays)
