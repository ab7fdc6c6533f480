"""Running a recipe, and telling extensions and the terminal how it goes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from preimage.volumes.driver import Run
from preimage.volumes.planning.plan import Plan
from preimage.volumes.progress import Progress, Several
from preimage_registry.building import BUILDER, chain_of
from preimage_registry.registry import Registry
from preimage_registry.runfile import Recipe

RUN_SECTIONS = ("loader", "operator", "solver", "output")
"""Sections that a run must have."""


def prepare(recipe: Recipe, registry: Registry, watchers: Sequence[Progress] = (), planned: Plan | None = None) -> Run:
    """A run that is resolved and planned from headers, or has a plan already, and has not begun."""
    registry.extend()
    plain = json.loads(recipe.to_json())
    return Run(chain_of(recipe, registry), BUILDER, plain, Several((*watchers, Extensions(registry))), planned)


class Extensions(Progress):
    """Tells the lab's extensions."""

    def __init__(self, registry: Registry) -> None:
        self.hook = registry.hooks.hook

    def started(self, record: Mapping[str, Any]) -> None:
        self.hook.preimage_run_started(record=record)

    def finished_block(self, record: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        self.hook.preimage_block_finished(record=record, block=facts)

    def finished(self, record: Mapping[str, Any]) -> None:
        self.hook.preimage_run_finished(record=record)
