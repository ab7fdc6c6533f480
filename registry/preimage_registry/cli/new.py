"""`preimage new plugin`: a plugin's repository that works as it is, to begin from."""

from __future__ import annotations

import keyword
import re
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from preimage.errors import RequestError
from preimage_registry.discovery import normalised

new = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

TEMPLATE = Path(__file__).parents[1] / "template"
"""A plugin's repository, which is checked and tested as any code here. Its name is replaced wherever it stands."""
NAME, PACKAGE = "lab-example", "lab_example"
PINNED = ("torch", "numpy", "xarray", "zarr", "dask", "pydantic")
"""Distributions that decide a result."""


@new.callback()
def _begin() -> None:
    """Begin something new."""


@new.command()
def plugin(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write it: a folder that is new, or empty.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the distribution, such as lab-optics; by default DIR's.")
    ] = None,
) -> None:
    """Write a plugin's repository: an operator, its tests, a run file and a README that says what to do next."""
    name = _checked_name(name or normalised(folder.resolve().name))
    _check_folder(folder)
    try:
        for relative, text in _files(name).items():
            path = folder / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise RequestError(f"{error.filename or folder} cannot be written: {error.strerror or error}") from error
    typer.echo(f"{folder} is a plugin. Install it, and check it; its README.md says what to do next:\n")
    typer.echo(f"    pip install -e {folder} -c {folder / 'constraints.txt'}\n    preimage check {name}")


def _checked_name(name: str) -> str:
    """The name of a distribution and, with underscores, of its package.

    Raises
    ------
    RequestError : it is none, or something has it already.
    """
    package = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(package):
        raise RequestError(
            f"{name!r} is no name for a plugin: write small letters, digits and single hyphens, a letter first, "
            "such as --name lab-optics"
        )
    if any(normalised(one.name or "") == name for one in metadata.distributions()):
        raise RequestError(f"a distribution {name!r} is installed already: choose another name by --name")
    found = find_spec(package)
    if found is not None and found.origin is not None:  # a folder without __init__.py is no package
        raise RequestError(f"Python has a module {package!r} already, in {found.origin}: choose another name by --name")
    return name


def _check_folder(folder: Path) -> None:
    """Nothing may be overwritten.

    Raises
    ------
    RequestError : there is something.
    """
    if folder.is_dir():
        if any(folder.iterdir()):
            raise RequestError(f"{folder} is not empty: choose another folder, nothing was written")
    elif folder.exists() or folder.is_symlink():
        raise RequestError(f"{folder} is there and is no folder: choose another, nothing was written")


def _files(name: str) -> dict[str, str]:
    """What is written: relative path and text of each file."""
    files = {}
    for path in sorted(TEMPLATE.rglob("*")):
        relative = path.relative_to(TEMPLATE)
        left_by_tools = any(part.startswith((".", "__")) for part in relative.parts[:-1])
        if path.is_file() and not left_by_tools:
            files[_named(relative.as_posix(), name)] = _named(path.read_text(encoding="utf-8"), name)
    files["constraints.txt"] += "".join(f"{one}=={_public(metadata.version(one))}\n" for one in PINNED)
    return files


def _named(text: str, name: str) -> str:
    return text.replace(NAME, name).replace(PACKAGE, name.replace("-", "_"))


def _public(version: str) -> str:
    """Without what only one index has, such as +cpu."""
    return version.partition("+")[0]
