"""The sections of a run: each validated by its method's own model, all mistakes of all sections at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from preimage.errors import CapabilityError
from preimage.hookspecs import KINDS
from preimage.run_settings import ComputeSettings, OutputSettings, SimulateSettings
from preimage.settings import Settings
from preimage_registry.bound import BoundMethod
from preimage_registry.documents import Key, Mistake, Mistakes, Source, did_you_mean, read_source
from preimage_registry.documents.overrides import override
from preimage_registry.registry import Registry
from preimage_registry.runfile.binding import bind_section, installed, validate
from preimage_registry.runfile.needs import unmet_needs
from preimage_registry.runfile.recipe import Ingredient, Recipe
from preimage_registry.runfile.unknowns import strange_unknowns
from preimage_registry.runfile.uses import Use, innermost, refusal

PLATFORM: dict[str, type[Settings]] = {
    "simulate": SimulateSettings,
    "compute": ComputeSettings,
    "output": OutputSettings,
}
"""The sections that are the platform's own."""

NAMES = ("seed", *KINDS, *PLATFORM)
SCHEMA = "$schema"
"""A key in which editors keep the address of a document's schema; a run does not look at it."""
DEFAULT: dict[str, Any] = {"likelihood": {"use": "gaussian"}, "compute": {}}
"""Sections that are meant where none is written."""


def read_recipe(
    path: Path,
    registry: Registry,
    overrides: Iterable[str] = (),
    required: Sequence[str] = ("loader", "operator", "solver"),
) -> Recipe:
    """Read a run file.

    Parameters
    ----------
    path : TOML, or JSON if its name ends in .json.
    overrides : assignments of `--set`, such as `solver.max_iter=80`.
    required : sections that must be there; a run needs `output` too.

    Raises
    ------
    Mistakes : all that is wrong, one line each: `scan.toml:14: prior.1.wieght: ...`.
    CapabilityError : the solver needs what the operator, the likelihood or a prior does not offer; its message may tell
        of more.
    RequestError : the file cannot be read, or an override cannot be applied.
    """
    source = override(read_source(path), overrides)
    return _resolve(source, registry, path.parent.resolve(), required)


def recipe_from_sections(
    sections: Mapping[str, Any], registry: Registry, required: Sequence[str] = ("operator", "solver")
) -> Recipe:
    """Make a recipe from sections written in Python; relative paths are relative to the current folder.

    A name alone, `solver="fista"`, stands for `{"use": "fista"}`, and one prior or preparation for a list of it;
    None stands for no section.

    Raises
    ------
    Mistakes : all that is wrong, one line each: `prior.1.wieght: ...`.
    CapabilityError : the solver needs what another part does not offer.
    """
    values = {name: _spelled_out(name, value) for name, value in sections.items() if value is not None}
    return _resolve(Source(values), registry, Path.cwd(), required)


def _resolve(source: Source, registry: Registry, folder: Path, required: Sequence[str]) -> Recipe:
    """The recipe of a document; every section is looked at before the first mistake is told."""
    values = {**DEFAULT, **{name: value for name, value in source.values.items() if name != SCHEMA}}
    mistakes = _misnamed(values, registry, required)
    parts: dict[str, list[BoundMethod]] = {kind: [] for kind in KINDS}
    platform: dict[str, Any] = {"simulate": None, "output": None}
    for kind, at, section in _sections_of_methods(values, mistakes):
        try:
            part = bind_section(registry, kind, section, folder, at)
            parts[kind].append(replace(part, place=source.place(at)))
        except Mistakes as error:
            mistakes += error.found
    for name in PLATFORM.keys() & values.keys():
        try:
            platform[name] = validate(PLATFORM[name], values[name], folder, f"[{name}]", (name,))
        except Mistakes as error:
            mistakes += error.found
    seed = values.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        mistakes.append(Mistake(("seed",), f"a seed is an integer from 0, not {seed!r}"))
    if mistakes:
        raise source.mistakes(mistakes)
    if parts["solver"]:
        use = Use.of(parts)
        lacks = innermost(partial(unmet_needs, registry=registry), use)
        mistakes += [*strange_unknowns(parts), *(lacks or innermost(refusal, use))]
        if mistakes:
            told = source.mistakes(mistakes)
            raise CapabilityError(str(told)) if lacks else told
    return Recipe(
        parts={kind: tuple(map(Ingredient.of, bound)) for kind, bound in parts.items()},
        seed=seed,
        **platform,
    )


def _misnamed(values: Mapping[str, Any], registry: Registry, required: Sequence[str]) -> list[Mistake]:
    """Sections that do not exist, and those that do not but should."""
    unknown = [name for name in values if name not in NAMES]
    mistakes = [Mistake((name,), f"there is no such section{did_you_mean(name, NAMES)}") for name in unknown]
    for name in required:
        if name in values or any(did_you_mean(word, [name]) for word in unknown):
            continue
        cure = f'add [{name}] with use = "..."{installed(registry, name)}' if name in KINDS else f"add [{name}]"
        mistakes.append(Mistake((name,), f"the section is missing: {cure}"))
    return mistakes


def _sections_of_methods(values: Mapping[str, Any], mistakes: list[Mistake]) -> Iterable[tuple[str, Key, Any]]:
    """Kind, key and content of every section that names a method."""
    for kind in KINDS:
        content = values.get(kind)
        if content is None:
            continue
        if KINDS[kind].many and isinstance(content, list):
            for i, section in enumerate(content):
                yield kind, (kind, i), section
        elif KINDS[kind].many:
            mistakes.append(Mistake((kind,), f"there may be several: write [[{kind}]]"))
        elif isinstance(content, list):
            mistakes.append(Mistake((kind,), f"there is only one: write [{kind}]"))
        else:
            yield kind, (kind,), content


def _spelled_out(name: str, value: Any) -> Any:
    if name not in KINDS:
        return value
    if KINDS[name].many and (isinstance(value, (str, Mapping))):
        return [value] if isinstance(value, Mapping) else [{"use": value}]
    if KINDS[name].many:
        return [{"use": one} if isinstance(one, str) else one for one in value]
    return {"use": value} if isinstance(value, str) else value
