"""One JSON schema of run files, for editors, from the settings of every method that is installed.

Of a section of a method `use` alone decides what else may stand in it. Conditions check a section, so that a mistake is
told at its key; editors that do not look into conditions find what may be written in the `anyOf` beside them, which
anything satisfies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from preimage import nested
from preimage.errors import PluginError
from preimage.hookspecs import KINDS
from preimage_registry.discovery import Method
from preimage_registry.registry import Registry
from preimage_registry.runfile.sections import PLATFORM, SCHEMA
from preimage_registry.summaries import summarise

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REQUIRED = ("loader", "operator", "solver")
"""Sections without which no file is valid."""

ON = {"type": "string", "description": "The unknown that the prior is for, where there are several."}
ADDRESS = {"type": "string", "description": "Of this schema, for editors; a run does not look at it."}
SEED = {"type": "integer", "minimum": 0, "default": 0, "description": "Of everything random."}

Schema = dict[str, Any]


def run_file_schema(registry: Registry) -> tuple[Schema, list[str]]:
    """The schema of run files, and what is wrong with each plugin that is left out of it."""
    definitions: Schema = {}
    left_out = []
    for kind in KINDS:
        names: dict[Method, list[str]] = {}
        for method in registry.methods:
            if method.kind == kind and not method.blocked:
                try:
                    definitions |= _method(method, registry)
                except PluginError as error:
                    left_out.append(str(error))
                else:
                    short = [method.name] if registry.why(method) == "used" else []
                    names[method] = [*short, method.full_name]
        definitions[kind] = _kind(names)
    for name, model in PLATFORM.items():
        own, inner = _settings(model, name)
        definitions |= {name: {**own, "title": name}, **inner}
    sections = {kind: _several(kind) if row.many else _reference(kind) for kind, row in KINDS.items()}
    whole = {
        "$schema": DIALECT,
        "title": "A run file of preimage",
        "type": "object",
        "properties": {SCHEMA: ADDRESS, "seed": SEED, **sections, **{name: _reference(name) for name in PLATFORM}},
        "required": [*REQUIRED],
        "additionalProperties": False,
        "$defs": definitions,
    }
    return whole, left_out


def _kind(names: Mapping[Method, list[str]]) -> Schema:
    """A section of a kind: which methods there are, and each with its settings."""
    documented = {name: summarise(method.entry_point).text for method, several in names.items() for name in several}
    ordered = sorted(documented, key=lambda name: (":" in name, name))  # the short ones first
    summaries = [documented[name] for name in ordered]
    use = {"enum": ordered, "enumDescriptions": summaries, "x-taplo": {"docs": {"enumValues": summaries}}}
    return {
        "type": "object",
        "properties": {"use": use},
        "required": ["use"],
        "allOf": [
            {"if": {"properties": {"use": {"enum": several}}, "required": ["use"]}, "then": _reference(_key(method))}
            for method, several in names.items()
        ]
        or [{}],
        "anyOf": [{}, *(_reference(_key(method)) for method in names)],
    }


def _method(method: Method, registry: Registry) -> Schema:
    """The definition of a section with this method, and those that it refers to.

    Raises
    ------
    PluginError : the plugin is broken, or no schema can be made of its settings.
    """
    settings = registry.load(method).settings
    try:
        own, inner = _settings(settings, _key(method))
    except PydanticInvalidForJsonSchema as error:
        raise PluginError(f"{method} has settings that no schema can be made of: {error.message}") from error
    summary = summarise(method.entry_point).text
    reserved = {"use": {"description": summary}, **({"on": ON} if method.kind == "prior" else {})}
    properties = {**reserved, **own.get("properties", {})}
    return {_key(method): {**own, "title": method.name, "description": summary, "properties": properties}, **inner}


def _settings(model: type[BaseModel], key: str) -> tuple[Schema, Schema]:
    """The schema of a class of settings, and the definitions that it refers to, named after `key`."""
    schema = _rewritten(model.model_json_schema(schema_generator=_Written), key)
    inner = {f"{key}.{name}": one for name, one in schema.pop("$defs", {}).items()}
    if "$ref" in schema:  # settings that hold such settings themselves
        schema = inner[f"{key}.{model.__name__}"]
    return schema, inner


class _Written(GenerateJsonSchema):
    """What may be written in a run file."""

    def emit_warning(self, kind: Any, detail: str) -> None:
        pass  # a default that JSON cannot write is left out

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # it would be the setting's name again

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> Schema:
        return _or_text(schema, super().function_before_schema(schema))

    def function_wrap_schema(self, schema: core_schema.WrapValidatorFunctionSchema) -> Schema:
        return _or_text(schema, super().function_wrap_schema(schema))


def _or_text(schema: Any, read: Schema) -> Schema:
    """What a function reads before pydantic may be text, such as "5 min" for seconds, unless the function says more."""
    if "json_schema_input_schema" in schema or schema["schema"]["type"] in ("model", "model-fields", "definition-ref"):
        return read
    return {"anyOf": [read, {"type": "string"}]}


def _rewritten(node: Any, key: str) -> Any:
    """A schema whose references lead to the definitions of the whole, and whose sections to those of their kinds."""
    match node:
        case {"$ref": str(target), **rest}:
            return {**_rewritten(rest, key), **_reference(f"{key}.{target.removeprefix('#/$defs/')}")}
        case {nested.KIND_OF_SECTION: str(kind), **rest}:
            kept = {name: value for name, value in rest.items() if name not in ("type", "properties", "required")}
            return {**kept, **_reference(kind)}
        case dict():
            return {name: _rewritten(value, key) for name, value in node.items()}
        case list():
            return [_rewritten(value, key) for value in node]
    return node


def _several(kind: str) -> Schema:
    return {"type": "array", "items": _reference(kind)}


def _reference(key: str) -> Schema:
    return {"$ref": f"#/$defs/{quote(key, safe=':')}"}


def _key(method: Method) -> str:
    """Such as `prior.preimage-variational:sparsity`, which no other method has."""
    return f"{method.kind}.{method.full_name}".replace("/", "-").replace("~", "-")
