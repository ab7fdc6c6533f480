"""Paths in settings: relative to the folder of the run file, with `~` and environment variables."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from preimage_registry.documents import Key, Mistake, Mistakes

_Model = TypeVar("_Model", bound=BaseModel)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def anchor(settings: _Model, folder: Path, at: Key = ()) -> _Model:
    """Return the settings with every `pathlib.Path` in them made absolute.

    Parameters
    ----------
    folder : what relative paths are relative to.
    at : where the settings stand in the document.

    Raises
    ------
    Mistakes : a path names an environment variable that is not set, or a user who is not known.
    """
    mistakes: list[Mistake] = []
    anchored: _Model = _anchor(settings, folder, at, mistakes)
    if mistakes:
        raise Mistakes(mistakes)
    return anchored


def _anchor(value: Any, folder: Path, key: Key, mistakes: list[Mistake]) -> Any:
    """The value with its paths anchored; the value itself where it has none."""
    match value:
        case Path():
            try:
                found = folder / _expand(value)
                return found.parent.resolve() / found.name if ".." in found.parts else found
            except (LookupError, RuntimeError) as error:
                mistakes.append(Mistake(key, str(error.args[0])))
                return value
        case BaseModel():
            fields = {name: getattr(value, name) for name in type(value).model_fields}
            changed = {
                name: new
                for name, old in fields.items()
                if (new := _anchor(old, folder, (*key, name), mistakes)) is not old
            }
            return value.model_copy(update=changed) if changed else value
        case dict():
            new_values = {name: _anchor(old, folder, (*key, str(name)), mistakes) for name, old in value.items()}
            return new_values if any(new_values[name] is not old for name, old in value.items()) else value
        case list() | tuple() if type(value) in (list, tuple):
            items = [_anchor(old, folder, (*key, i), mistakes) for i, old in enumerate(value)]
            changed_items = any(new is not old for new, old in zip(items, value, strict=True))
            return type(value)(items) if changed_items else value
        case _:
            return value


def _expand(path: Path) -> Path:
    """`~` and `$NAME` or `${NAME}` filled in."""

    def filled(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise LookupError(f"{path} names the environment variable {name}, which is not set: export {name}=...")
        return os.environ[name]

    try:
        return Path(_VARIABLE.sub(filled, str(path))).expanduser()
    except RuntimeError:
        raise RuntimeError(f"{path}: no such user's home folder is known") from None
