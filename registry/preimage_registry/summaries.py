"""The first line of a module's docstring, without running any of its code."""

from __future__ import annotations

import ast
import importlib.util
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import EntryPoint
from typing import NamedTuple


class Summary(NamedTuple):
    """What can be said of a module that is not imported: its summary, or why it cannot work."""

    text: str
    broken: str = ""


def summarise(entry_point: EntryPoint) -> Summary:
    """Read the summary from the source, found through the top package's spec: not even its `__init__` runs."""
    try:
        module = entry_point.module
    except AttributeError:  # the pattern of an entry point does not match
        return Summary("", f"{entry_point.value!r} is no entry point: write package.module")
    spec = _find(module)
    if spec is None:
        return Summary("", f"there is no module {module}")
    try:
        source = spec.loader.get_source(spec.name)  # type: ignore[union-attr]  # most loaders have it
        docstring = ast.get_docstring(ast.parse(source or "")) or ""
    except SyntaxError as error:
        return Summary("", f"{error.msg}, line {error.lineno} of {spec.origin}")
    except (AttributeError, ImportError, OSError, ValueError):  # a package without __init__, not text, a null byte
        return Summary("", f"the source of {module} cannot be read")
    return Summary(docstring.partition("\n")[0].strip())


def _find(module: str) -> ModuleSpec | None:
    """The spec of a module; `importlib.util.find_spec` would import its packages."""
    top, *names = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # ValueError: a module of this name was put into sys.modules without a spec
        return None
    path = top
    for name in names:
        if spec is None or spec.submodule_search_locations is None:
            return None
        path = f"{path}.{name}"
        spec = PathFinder.find_spec(path, list(spec.submodule_search_locations))
    return spec
