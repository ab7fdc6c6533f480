"""A resolved recipe as the run file that would make it again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from preimage.hookspecs import KINDS


def run_file(recipe: Mapping[str, Any]) -> str:
    """TOML to paste; what is None is left out, which is how a run file says it."""
    parts = recipe.get("parts", {})
    own = {name: value for name, value in recipe.items() if name not in ("version", "parts")}
    lines = [f"{_key(name)} = {_value(value)}" for name, value in own.items() if _is_plain(value)]
    for kind, ingredients in parts.items():
        for one in ingredients:
            heading = f"[[{_key(kind)}]]" if KINDS[kind].many else f"[{_key(kind)}]"
            lines += _section(heading, {"use": one["name"], "on": one.get("on"), **one["settings"]})
    for name, section in own.items():
        if isinstance(section, Mapping):
            lines += _section(f"[{_key(name)}]", section)
    return "\n".join(lines) + "\n"


def _section(heading: str, values: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield heading
    yield from (f"{_key(name)} = {_value(value)}" for name, value in values.items() if value is not None)


def _is_plain(value: Any) -> bool:
    return value is not None and not isinstance(value, Mapping)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float() if not math.isfinite(value):
            return {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
        case str():
            return _text(value)
        case [Mapping(), *_]:
            return "[\n" + "".join(f"    {_value(item)},\n" for item in value) + "]"
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case Mapping():
            inside = [f"{_key(name)} = {_value(item)}" for name, item in value.items() if item is not None]
            return f"{{ {', '.join(inside)} }}" if inside else "{}"
    return str(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
