"""The front door in Python: run a file, reconstruct a dataset, make one part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import xarray as xr

from preimage.errors import DataError, RequestError
from preimage.hookspecs import KINDS
from preimage.simulation import SimulationPart
from preimage.volumes.devices import choose_device
from preimage.volumes.in_memory import GivenDataset, prepare_in_memory, solve_in_memory
from preimage.volumes.stores import open_dataset
from preimage_registry.building import chain_of
from preimage_registry.registry import Registry
from preimage_registry.runfile import bind_section, read_recipe, recipe_from_sections
from preimage_registry.running import RUN_SECTIONS, prepare

Section: TypeAlias = "str | Mapping[str, Any]"
"""A method's name, or a section of a run file such as {"use": "sparsity", "weight": 5e-3}."""


NEEDS = {"preparation": "a dataset", "operator": "a dataset", "prior": "a space"}
"""What a part of a kind is made for."""


def run(path: Path | str, overrides: Iterable[str] = (), *, fresh: bool = False) -> xr.Dataset:
    """Run a file, or go on with a run that was stopped, and open its result.

    Parameters
    ----------
    path : a run file, TOML or JSON.
    overrides : such as "solver.max_iter=80".
    fresh : forget what is stored under the output's path.

    Returns
    -------
    The run store, read lazily: `estimate` and `history`; the record is its attribute `preimage`.

    Raises
    ------
    preimage.PreimageError : see its message; a run that failed keeps its finished blocks.
    """
    registry = Registry.here()
    recipe = read_recipe(Path(path), registry, overrides, required=RUN_SECTIONS)
    job = prepare(recipe, registry)
    job.execute(fresh=fresh)
    return open_dataset(job.output.path)


def reconstruct(
    dataset: xr.Dataset,
    *,
    operator: Section,
    solver: Section,
    prior: Section | Iterable[Section] = (),
    likelihood: Section = "gaussian",
    preparation: Section | Iterable[Section] = (),
    simulate: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    normalise: bool = True,
) -> xr.DataArray | xr.Dataset:
    """Reconstruct a dataset in memory, in one block.

    Parameters
    ----------
    dataset : has a `measurement`, or a `truth` that is measured as `simulate` says; see `preimage.data`.
    operator, solver, prior, likelihood, preparation : methods by name, or sections with settings.
    simulate : {"noise": std}.
    normalise : solve for the data divided by their scale, so that weights mean the same in any units.

    Returns
    -------
    The estimate with the dims and coordinates of the unknown; a Dataset where there are several unknowns.
    """
    registry = Registry.here()
    sections = {
        "preparation": preparation,
        "operator": operator,
        "likelihood": likelihood,
        "prior": prior,
        "solver": solver,
        "simulate": simulate,
        "seed": seed,
    }
    sections["compute"] = {"device": device, "normalise": normalise, "rewrite": False}
    recipe = recipe_from_sections(sections, registry)
    return solve_in_memory(chain_of(recipe, registry, loader=GivenDataset(dataset)), recipe.compute)


def simulate(
    dataset: xr.Dataset,
    *,
    operator: Section,
    noise: float = 0.0,
    preparation: Section | Iterable[Section] = (),
    likelihood: Section = "gaussian",
    seed: int = 0,
    device: str = "auto",
) -> xr.Dataset:
    """Measure the truth of a dataset, in memory.

    Parameters
    ----------
    dataset : has a `truth`.
    operator : what measures it.
    noise : standard deviation in the units of the data, E|n|² = noise².
    preparation : done before, such as simulated coils and a sampling mask.

    Returns
    -------
    The dataset with a `measurement`, as `preimage.write_dataset` stores it.
    """
    if "measurement" in dataset.variables:
        raise DataError("the dataset has a measurement already: drop it to simulate another")
    registry = Registry.here()
    sections = {
        "operator": operator,
        "preparation": preparation,
        "likelihood": likelihood,
        "simulate": {"noise": noise},
        "seed": seed,
    }
    recipe = recipe_from_sections(sections, registry, required=("operator",))
    parts = recipe.bind(registry)
    assert recipe.simulate is not None
    measured = SimulationPart(parts["operator"][0], parts["likelihood"][0], recipe.simulate, seed)
    return prepare_in_memory(dataset, (*parts["preparation"], measured), choose_device(device))


def make(what: str, *context: Any, **settings: Any) -> Any:
    """Make one part, such as `make("operator.blur", dataset, sigma=2.0)`.

    Parameters
    ----------
    what : `kind.name`.
    context : what the part is made for: a dataset for an operator, a likelihood or a preparation, a space
        for a prior, nothing for a loader or a solver.
    settings : the method's.
    """
    kind, _, name = what.partition(".")
    if kind not in KINDS or not name:
        raise RequestError(f'{what!r} is not KIND.NAME, such as "operator.blur": kinds are {", ".join(KINDS)}')
    if not context and kind in NEEDS:
        raise RequestError(f"{what} is made for {NEEDS[kind]}: make({what!r}, {NEEDS[kind].split()[-1]}, ...)")
    part = bind_section(Registry.here(), kind, {"use": name, **settings}, Path.cwd())
    subject: dict[str, Any] = {"dataset": xr.Dataset(), "domain": None, "shared": {}}
    if context:
        subject["domain" if kind == "prior" else "dataset"] = context[0]
    return part.make(**subject)
