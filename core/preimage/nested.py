"""A part inside the settings of another, such as the solvers of a solver that takes turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import core_schema

from preimage.hookspecs import KINDS
from preimage.parts import Part

BIND = "preimage.bind"
"""Key of the validation context under which the registry passes the function that makes a part of a section."""
KIND_OF_SECTION = "x-preimage-kind"
"""Key of the JSON schema of such a setting: the kind of the section."""


@dataclass(frozen=True)
class Nested:
    """Marks a setting that is a section with a `use` of its own: `Annotated[Part, Nested("solver")]`.

    Also inside lists, dicts and models. In a run file a table stands there; what the method's hooks get is the part,
    whose `make()` makes it and whose `ask(hook)` asks it more.
    """

    kind: str

    def __post_init__(self) -> None:
        """Check that there is such a kind."""
        if self.kind not in KINDS:
            raise TypeError(f"{self.kind!r} is no kind of method: {', '.join(KINDS)}")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Bind what stands in a run file, and write it back as a section."""
        return core_schema.with_info_plain_validator_function(
            self._bound, serialization=core_schema.plain_serializer_function_ser_schema(as_section)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """A section, whose other keys are the settings of the method that it names."""
        use = {"type": "string", "description": f"The {self.kind}'s name."}
        return {"type": "object", "properties": {"use": use}, "required": ["use"], KIND_OF_SECTION: self.kind}

    def _bound(self, value: Any, info: ValidationInfo) -> Part:
        if isinstance(value, Part) and value.kind == self.kind:
            return value
        bind = (info.context or {}).get(BIND)
        if bind is None:
            raise ValueError(f"a part of the kind {self.kind} is expected, not {value!r}")
        return bind(self.kind, value)  # type: ignore[no-any-return]


def as_section(part: Part) -> dict[str, Any]:
    """The section of a run file that a part stands for, all defaults written out."""
    name = f"{part.origin['distribution']}:{part.name}" if "distribution" in part.origin else part.name
    return {"use": name, **part.settings.model_dump(mode="json", by_alias=True, round_trip=True)}


def nested_parts(value: Any) -> Iterator[Part]:
    """All parts inside settings, also those inside the settings of such parts."""
    match value:
        case Part():
            yield value
            yield from nested_parts(value.settings)
        case BaseModel():
            for name in type(value).model_fields:
                yield from nested_parts(getattr(value, name))
        case Mapping():
            for item in value.values():
                yield from nested_parts(item)
        case list() | tuple():
            for item in value:
                yield from nested_parts(item)
