"""From a recipe to a chain of parts, in this process or in any worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preimage.chain import Chain
from preimage.parts import Part
from preimage_registry.registry import Registry
from preimage_registry.runfile import Recipe, bind_section

BUILDER = f"{__name__}:build_chain"
"""The dotted name by which a worker finds `build_chain`."""


def build_chain(recipe: Mapping[str, Any]) -> Chain:
    """The chain of a recipe as plain data, from the methods that are installed here."""
    registry = Registry.here()
    registry.extend()
    return chain_of(Recipe.from_json(json.dumps(recipe)), registry)


def chain_of(recipe: Recipe, registry: Registry, loader: Part | None = None) -> Chain:
    """The chain of a recipe.

    Parameters
    ----------
    loader : where data come from, for a recipe that does not say.
    """
    parts = recipe.bind(registry)
    return Chain(
        loader=loader or parts["loader"][0],
        preparations=parts["preparation"],
        operator=parts["operator"][0],
        likelihood=parts["likelihood"][0],
        priors=parts["prior"],
        on=tuple(prior.on for prior in parts["prior"]),
        solver=parts["solver"][0],
        simulate=recipe.simulate,
        seed=recipe.seed,
        propose=lambda section: bind_section(registry, "preparation", section, Path.cwd()),
    )
