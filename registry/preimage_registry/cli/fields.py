"""Settings as a table, and as a section to paste."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from preimage.nested import Nested
from preimage_registry.documents.validation import models_in

_PLACEHOLDERS: dict[Any, Any] = {int: 1, float: 1.0, bool: True, list: [], tuple: [], dict: {}}
_BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "min_length": "length ≥", "max_length": "length ≤"}


class Row(NamedTuple):
    """One setting."""

    setting: str
    type: str
    default: str
    meaning: str


def rows_of(settings: type[BaseModel], inside: str = "") -> list[Row]:
    """A row for every setting, each followed by those of the sections that stand in it, such as `turns.unknown`.

    Parameters
    ----------
    inside : what the names begin with.
    """
    rows = []
    for name, field in settings.model_fields.items():
        key, meaning = inside + (field.alias or name), " ".join((field.description or "").split())
        rows.append(Row(key, _type(field), _default(settings, name), meaning))
        for model in models_in(field.annotation):
            rows += rows_of(model, f"{key}.")
    return rows


def section_to_paste(heading: str, use: str, settings: type[BaseModel]) -> str:
    """The shortest section of a run file: the method, and the settings that have no default."""
    lines = [heading, f'use = "{use}"']
    for name, field in settings.model_fields.items():
        if field.is_required():
            lines.append(f"{field.alias or name} = {_toml(_placeholder_of(field))}")
    return "\n".join(lines)


def _default(settings: type[BaseModel], name: str) -> str:
    field = settings.model_fields[name]
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    return json.dumps(value, default=str, ensure_ascii=False)


def _type(field: FieldInfo) -> str:
    bounds = [
        f"{word} {value:g}" if isinstance(value, float) else f"{word} {value}"
        for constraint in field.metadata
        for name, word in _BOUNDS.items()
        if (value := getattr(constraint, name, None)) is not None
    ]
    return " ".join([_section(field.metadata) or _written(field.annotation), ", ".join(bounds)]).strip()


def _section(metadata: Iterable[Any]) -> str:
    """What is said of a setting that is a section of its own; empty if it is none."""
    return next((f"section of a {mark.kind}" for mark in metadata if isinstance(mark, Nested)), "")


def _written(annotation: Any) -> str:
    """An annotation as a user of run files would say it."""
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return " | ".join(json.dumps(value) for value in arguments)
    if origin is typing.Annotated:
        return _section(arguments[1:]) or _written(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_written(one) for one in arguments)
    if annotation is type(None):
        return "none"
    if annotation is Path:
        return "path"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    if origin is not None:
        inner = ", ".join("..." if one is ... else _written(one) for one in arguments)
        return f"{origin.__name__}[{inner}]"
    return getattr(annotation, "__name__", str(annotation))


def _placeholder_of(field: FieldInfo) -> Any:
    return {"use": "..."} if _section(field.metadata) else _placeholder(field.annotation)


def _placeholder(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        required = {name: field for name, field in annotation.model_fields.items() if field.is_required()}
        return {field.alias or name: _placeholder_of(field) for name, field in required.items()}
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return arguments[0]
    if origin is typing.Annotated and _section(arguments[1:]):
        return {"use": "..."}
    if origin in (typing.Union, types.UnionType, typing.Annotated):
        return _placeholder(arguments[0])
    if origin in (list, tuple) and isinstance(inner := _placeholder(arguments[0]), dict):
        return [inner]  # of sections there is one at least
    return _PLACEHOLDERS.get(origin or annotation, "...")


def _toml(value: Any) -> str:
    """A value in one line of TOML."""
    if isinstance(value, dict):
        inside = ", ".join(f"{key} = {_toml(one)}" for key, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, list) else json.dumps(value)
