"""Simulating the measurement of a dataset that has a truth and none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr

from preimage.data import ORIGIN, WHOLE, Preparation, header, tensor, variable
from preimage.errors import DataError
from preimage.likelihoods import data_space
from preimage.parts import Part
from preimage.randomness import Draw, derive_seed
from preimage.run_settings import SimulateSettings
from preimage.space import ProductSpace, Space


@dataclass(frozen=True)
class SimulationPart:
    """The simulation as a part of a chain: a preparation that the platform makes itself."""

    operator: Part
    likelihood: Part
    settings: SimulateSettings
    seed: int
    kind: str = "preparation"
    name: str = "simulate"

    @property
    def origin(self) -> Mapping[str, str]:
        """The platform."""
        return {"distribution": "preimage"}

    @property
    def declared(self) -> Any:
        """What `make` returns."""
        return Simulation

    @property
    def requires(self) -> Mapping[str, tuple[str, ...]]:
        """It applies the operator to the truth."""
        return {**self.operator.requires, "truth": ()}

    @property
    def uses(self) -> tuple[str, ...]:
        """What the operator uses."""
        return self.operator.uses

    @property
    def provides(self) -> Mapping[str, tuple[str, ...]]:
        """It adds the measurement."""
        return {"measurement": ()}

    def make(self, **context: Any) -> Simulation:
        """The preparation."""
        return Simulation(self.operator, self.likelihood, self.settings, self.seed)

    def ask(self, hook: str, **context: Any) -> Any | None:
        """It splits as its operator does, and needs the same memory."""
        if hook == "preimage_axes":
            dataset = context["dataset"]
            domain, _ = self.operator.ask("preimage_spaces", dataset=dataset) or (None, None)
            return self.operator.ask("preimage_axes", dataset=dataset, domain=domain)
        if hook == "preimage_memory":
            return self.operator.ask(hook, **context)
        return None


class Simulation(Preparation):
    """y = A(truth) + noise. Each element's noise depends on its index in the whole, not on the block."""

    def __init__(self, operator: Part, likelihood: Part, settings: SimulateSettings, seed: int) -> None:
        self.operator = operator
        self.likelihood = likelihood
        self.settings = settings
        self.seed = derive_seed(seed, "simulate")

    def describe(self, dataset: xr.Dataset) -> xr.Dataset:
        """Add the header of the measurement, and the level of its noise."""
        domain, codomain = self.operator.ask("preimage_spaces", dataset=dataset) or (None, None)
        if not isinstance(domain, Space) or not isinstance(codomain, Space):
            raise DataError(f"operator {self.operator.name} cannot be simulated: it has several unknowns")
        truth = dataset["truth"].variable
        if set(truth.dims) != set(domain.dims):
            raise DataError(
                f"operator {self.operator.name} is applied to {', '.join(domain.dims)}; "
                f"the truth has {', '.join(map(str, truth.dims))}"
            )
        data: Any = data_space(self.likelihood.declared, codomain)
        dtype = np.dtype(str(data.dtype).removeprefix("torch."))
        return dataset.assign(
            measurement=header(data.dims, data.shape, dtype),
            noise_std=xr.Variable((), np.float64(self.settings.noise), {"small": True}),
        )

    def apply(self, dataset: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """Simulate the block."""
        operator = self.operator.make(dataset=dataset, shared={})
        assert not isinstance(operator.codomain, ProductSpace)
        dataset = dataset.assign(noise_std=xr.Variable((), np.float64(self.settings.noise), {"small": True}))
        likelihood = self.likelihood.make(dataset=dataset)
        dims = operator.codomain.dims
        origin, whole = dataset.attrs.get(ORIGIN, {}), dataset.attrs.get(WHOLE, {})
        draw = Draw(
            self.seed,
            tuple(origin.get(dim, 0) for dim in dims),
            tuple(whole.get(dim, n) for dim, n in operator.codomain.sizes.items()),
        )
        with torch.no_grad():
            truth = tensor(dataset, "truth", operator.domain.dims).to(operator.domain.dtype)
            measurement = likelihood.sample(operator(truth), draw)
        return dataset.assign(measurement=variable(measurement, dims))
