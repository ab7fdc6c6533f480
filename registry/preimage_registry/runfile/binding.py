"""Binding a section of a run to the method that it names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from preimage.errors import PreimageError
from preimage.nested import BIND
from preimage.settings import Settings
from preimage_registry.bound import BoundMethod
from preimage_registry.documents import Key, Mistake, Mistakes
from preimage_registry.documents.validation import error_inside, validation_mistakes
from preimage_registry.loading import RESERVED
from preimage_registry.registry import Registry
from preimage_registry.runfile.paths import anchor

_Settings = TypeVar("_Settings", bound=Settings)


def bind_section(
    registry: Registry, kind: str, section: Mapping[str, Any], folder: Path, at: Key | None = None
) -> BoundMethod:
    """Bind the method that a section names to the settings that it holds.

    Parameters
    ----------
    folder : what relative paths are relative to.
    at : where the section stands in its document; by default as the only one of its kind.

    Raises
    ------
    Mistakes : all that is wrong in it.
    """
    at = (kind,) if at is None else at
    if not isinstance(section, Mapping):
        raise Mistakes([Mistake(at, f'a section is expected, with use = "...", not {section!r}')])
    use, on = section.get("use"), section.get("on") if kind == "prior" else None
    if use is None:
        raise Mistakes([Mistake(at, f'say which one by use = "..."{installed(registry, kind)}')])
    wrong = [
        Mistake((*at, key), f"a name is expected, not {value!r}")
        for key, value in (("use", use), ("on", on))
        if value is not None and not isinstance(value, str)
    ]
    if wrong:
        raise Mistakes(wrong)
    try:
        plugin = registry.load(registry.find(kind, use))
    except PreimageError as error:
        raise Mistakes([Mistake((*at, "use"), str(error))]) from error
    own = {key: value for key, value in section.items() if key not in RESERVED[kind]}
    settings = validate(plugin.settings, own, folder, plugin.method.name, at, binding(registry, folder))
    return BoundMethod(plugin, settings, registry, on)


def binding(registry: Registry, folder: Path) -> dict[str, Any]:
    """The context of validation in which sections inside settings are bound."""

    def bind(kind: str, section: Any) -> BoundMethod:
        try:
            return bind_section(registry, kind, section, folder, ())
        except Mistakes as error:
            raise error_inside(error.found) from None

    return {BIND: bind}


def validate(
    model: type[_Settings], values: Any, folder: Path, owner: str, at: Key, context: Mapping[str, Any] | None = None
) -> _Settings:
    """Settings from what stands in a document.

    Parameters
    ----------
    folder : what relative paths are relative to.
    owner : whose settings they are, such as `sparsity`.
    at : where they stand in the document.
    context : of the validation; see `binding`.

    Raises
    ------
    Mistakes : all that is wrong.
    """
    if not isinstance(values, Mapping):
        raise Mistakes([Mistake(at, f"a section is expected, not {values!r}")])
    try:
        settings = model.model_validate(values, context=context)
    except ValidationError as error:
        raise Mistakes(validation_mistakes(error, values, model, owner, at)) from None
    return anchor(settings, folder, at)


def installed(registry: Registry, kind: str) -> str:
    """` (installed: …)`, the methods of a kind."""
    names = sorted({method.name for method in registry.methods if method.kind == kind and not method.blocked})
    return f" (installed: {', '.join(names) or 'none'})"
