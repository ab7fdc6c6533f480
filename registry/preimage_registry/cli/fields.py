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

_PLACEHOLDERS: dict[Any, Any] = {int: 1, float: 1.0, bool: True, list: [], tuple: [], dict: {}}
_BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "min_length": "length ≥", "max_length": "length ≤"}


class Row(NamedTuple):
    """One setting."""

    setting: str
    type: str
    default: str
    meaning: str


def rows_of(settings: type[BaseModel]) -> list[Row]:
    """A row for every setting."""
    return [
        Row(field.alias or name, _type(field), _default(settings, name), " ".join((field.description or "").split()))
        for name, field in settings.model_fields.items()
    ]


def section_to_paste(heading: str, use: str, settings: type[BaseModel]) -> str:
    """The shortest section of a run file: the method, and the settings that have no default."""
    lines = [heading, f'use = "{use}"']
    for name, field in settings.model_fields.items():
        if field.is_required():
            lines.append(f"{field.alias or name} = {json.dumps(_placeholder(field.annotation))}")
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
    if origin is not None:
        inner = ", ".join("..." if one is ... else _written(one) for one in arguments)
        return f"{origin.__name__}[{inner}]"
    return getattr(annotation, "__name__", str(annotation))


def _placeholder(annotation: Any) -> Any:
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return arguments[0]
    if origin in (typing.Union, types.UnionType, typing.Annotated):
        return _placeholder(arguments[0])
    return _PLACEHOLDERS.get(origin or annotation, "...")
