"""A recipe: all that decides a run, resolved, as plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from preimage.errors import RequestError
from preimage.hookspecs import KINDS
from preimage.run_settings import ComputeSettings, OutputSettings, SimulateSettings
from preimage_registry.bound import BoundMethod
from preimage_registry.documents.mistakes import dotted, told
from preimage_registry.documents.validation import validation_mistakes
from preimage_registry.registry import Registry
from preimage_registry.runfile.binding import binding

_Model = TypeVar("_Model", bound=BaseModel)

VERSION = 1
"""Of the layout of a recipe's JSON."""

NO_EFFECT = {"compute": ("checkpoint",), "output": ("path", "history")}
"""Keys of the platform's sections that no value of the result depends on."""


@dataclass(frozen=True)
class Ingredient:
    """One part of a recipe.

    Attributes
    ----------
    name : the method's.
    distribution, version, entry_point : where it is from.
    settings : all of them, defaults included, as JSON has them.
    on : for a prior, the unknown that it is for; None where there is one.
    place : where its section was read, for messages. It decides nothing, and is not written.
    """

    name: str
    distribution: str
    version: str
    entry_point: str
    settings: Mapping[str, Any]
    on: str | None = None
    place: str = field(default="", compare=False)

    @classmethod
    def of(cls, part: BoundMethod) -> Ingredient:
        """The ingredient that a part is."""
        method = part.plugin.method
        settings, entry_point = _dump(part.settings), method.entry_point.value
        return cls(method.name, method.distribution, method.version, entry_point, settings, part.on, part.place)

    def _plain(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "place"}


@dataclass(frozen=True)
class Recipe:
    """A run as plain data: what workers are sent, and what the record of a result holds.

    Attributes
    ----------
    parts : for every kind its ingredients in order.
    seed : of everything random.
    simulate : how a measurement is simulated; None where it is not.
    compute : where and how.
    output : where the result goes; None where it is returned.
    """

    parts: Mapping[str, tuple[Ingredient, ...]]
    seed: int = 0
    simulate: SimulateSettings | None = None
    compute: ComputeSettings = field(default_factory=lambda: ComputeSettings.model_validate({}))
    output: OutputSettings | None = None

    def to_json(self) -> str:
        """The recipe as a JSON text."""
        return json.dumps({"version": VERSION, **self._plain()}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read what `to_json` wrote.

        Raises
        ------
        RequestError : it is no recipe, or of a newer version.
        """
        try:
            plain = json.loads(text)
            version = plain["version"]
            if version > VERSION:
                raise RequestError(f"the recipe is of version {version}, this preimage reads up to {VERSION}: upgrade")
            return cls(
                parts={kind: tuple(_ingredients(kind, plain["parts"].get(kind, ()))) for kind in KINDS},
                seed=plain["seed"],
                simulate=_load(SimulateSettings, plain["simulate"]),
                compute=ComputeSettings.model_validate(plain["compute"]),
                output=_load(OutputSettings, plain["output"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # JSON's and pydantic's are ValueErrors
            raise RequestError(f"it is no recipe: {error}") from error

    def digest(self) -> str:
        """A hash of all that decides values: equal for two recipes whose results are to be equal."""
        plain = self._plain()
        for section, keys in NO_EFFECT.items():
            plain[section] = {key: value for key, value in (plain[section] or {}).items() if key not in keys}
        return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def bind(self, registry: Registry) -> dict[str, tuple[BoundMethod, ...]]:
        """For every kind its parts, from the methods that are installed here.

        Raises
        ------
        PluginError : a method is not installed, or cannot be used.
        RequestError : the version that is installed does not take the settings.
        """
        return {kind: tuple(_bind(registry, kind, one) for one in self.parts[kind]) for kind in KINDS}

    def differences(self, registry: Registry) -> list[str]:
        """Parts of which another version is installed here, a line each."""
        lines = []
        for kind in KINDS:
            for one in self.parts[kind]:
                method = registry.find(kind, f"{one.distribution}:{one.name}")
                if method.version != one.version:
                    lines.append(f"{method.key}: {one.distribution} {one.version} then, {method.version} now")
        return lines

    def _plain(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "parts": {kind: [one._plain() for one in self.parts[kind]] for kind in KINDS},
            "simulate": _dump(self.simulate),
            "compute": _dump(self.compute),
            "output": _dump(self.output),
        }


def _dump(settings: BaseModel | None) -> Any:
    return None if settings is None else settings.model_dump(mode="json", by_alias=True, round_trip=True)


def _load(model: type[_Model], plain: Any) -> _Model | None:
    return None if plain is None else model.model_validate(plain)


def _ingredients(kind: str, plain: Iterable[Mapping[str, Any]]) -> Iterator[Ingredient]:
    """Those of a kind, whose places are known by their numbers alone."""
    for i, one in enumerate(plain):
        yield Ingredient(**one, place=dotted((kind, i) if KINDS[kind].many else (kind,)))


def _bind(registry: Registry, kind: str, one: Ingredient) -> BoundMethod:
    plugin = registry.load(registry.find(kind, f"{one.distribution}:{one.name}"))
    try:
        context = binding(registry, Path.cwd())  # a recipe's paths are absolute
        settings = plugin.settings.model_validate_json(json.dumps(one.settings), by_alias=True, context=context)
    except ValidationError as error:
        wrong = "; ".join(map(told, validation_mistakes(error, one.settings, plugin.settings, one.name)))
        raise RequestError(f"{plugin.method} does not take the settings of {one.version}: {wrong}") from None
    return BoundMethod(plugin, settings, registry, one.on, one.place)
