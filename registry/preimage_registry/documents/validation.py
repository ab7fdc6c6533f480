"""What pydantic found wrong, in the words of the platform."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from preimage_registry.documents.mistakes import Key, Mistake, did_you_mean

INSIDE = "mistakes_inside"
"""Type of the pydantic error, and key of its context, that carry what is wrong in a section inside a section."""


def error_inside(mistakes: Sequence[Mistake]) -> PydanticCustomError:
    """What a validator raises for all that is wrong in a section inside a section."""
    return PydanticCustomError(INSIDE, "a section inside is wrong", {INSIDE: mistakes})


def validation_mistakes(
    error: ValidationError, values: Mapping[str, Any], model: type[BaseModel], owner: str, at: Key = ()
) -> list[Mistake]:
    """Return one mistake for each key that is wrong.

    Parameters
    ----------
    values : what was validated.
    owner : whose settings they are, such as `sparsity`.
    at : where the values stand in the document.
    """
    messages: dict[Key, list[str]] = {}
    details = error.errors(include_url=False)
    inside = {detail["loc"][:n] for detail in details for n in range(len(detail["loc"]))}
    for detail in details:
        if detail["loc"] in inside:  # pydantic counts sound elements alone, and finds too few where one is wrong
            continue
        key = _key(detail["loc"], values, detail["type"])
        told = detail["ctx"][INSIDE] if detail["type"] == INSIDE else [Mistake((), _message(detail, key, model, owner))]
        for inner, message in told:
            if message not in (known := messages.setdefault((*at, *key, *inner), [])):  # a union tells each member's
                known.append(message)
    return [Mistake(key, ", or ".join(several)) for key, several in messages.items()]


def _key(location: Sequence[str | int], values: Any, sort: str) -> Key:
    """The keys of a location alone: pydantic also names the members of a union that it tried."""
    key: Key = ()
    for part in location:
        inside = isinstance(values, Mapping) and part in values
        if inside or (isinstance(values, Sequence) and isinstance(part, int) and part < len(values)):
            key, values = (*key, part), values[part]
    if sort == "missing":
        key = (*key, location[-1])
    return key


def _message(detail: Any, key: Key, model: type[BaseModel], owner: str) -> str:
    match detail["type"]:
        case "extra_forbidden":
            inner = _model_at(model, key[:-1])
            names = [field.alias or name for name, field in inner.model_fields.items()] if inner else []
            return f"{owner} has no such setting{did_you_mean(str(key[-1]), names)}" + _choices(names, str(key[-1]))
        case "missing":
            inner = _model_at(model, key[:-1])
            field = inner.model_fields.get(str(key[-1])) if inner else None
            meaning = f": {field.description}" if field and field.description else ""
            return f"{owner} needs this setting{meaning}"
        case "value_error" | "assertion_error":
            return re.sub(r"^(Value|Assertion) error, ", "", detail["msg"])
        case "path_type":
            return f"a path is expected, not {_shown(detail['input'])}"
        case _:
            message = detail["msg"].removeprefix("Input ")
            return f"{message[:1].lower()}{message[1:]}, not {_shown(detail['input'])}"


def _choices(names: Sequence[str], wrong: str) -> str:
    if did_you_mean(wrong, names):
        return ""
    return f" (it has {', '.join(names)})" if names else " (it has none)"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _model_at(model: type[BaseModel], key: Key) -> type[BaseModel] | None:
    """The model whose fields stand at a key."""
    inner: type[BaseModel] | None = model
    for part in key:
        if isinstance(part, int):
            continue
        field = inner.model_fields.get(part) if inner else None
        inner = next(models_in(field.annotation), None) if field else None
    return inner


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models of which an annotation speaks, such as that of the elements of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_in(argument)
