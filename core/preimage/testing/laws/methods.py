"""Laws of every method: its hooks, its settings, its declarations, and that looking at it costs nothing."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import Any, get_origin

import pluggy
from pydantic import BaseModel

from preimage.nested import BIND, as_section, nested_parts
from preimage.offers import members, offers
from preimage.parts import Part
from preimage.settings import Settings
from preimage.testing.examples import Examined
from preimage.testing.law import LawBroken, Laws, NotOffered

METHODS = Laws()
"""Of all kinds."""
SIZES = Laws()
"""Of kinds whose parts live on grids."""

HEAVY = ("torch", "xarray", "zarr", "dask", "scipy")


@METHODS.all
def hooks(subject: Examined) -> None:
    """The module implements the factory of its kind, and no hook that does not exist."""
    method = subject.method
    try:
        method.manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise LawBroken(f"{method.module.__name__}: {' '.join(str(error).split())}") from None
    if not method.implements(method.factory):
        raise LawBroken(
            f"{method.module.__name__} has no {method.factory}: is @hookimpl missing, or is it of another kind?"
        )


@METHODS.all
def summary(subject: Examined) -> None:
    """The module's docstring begins with a line that says what the method is."""
    text = subject.method.module.__doc__ or ""
    if not text.strip() or not text.splitlines()[0].strip():
        raise LawBroken("the module has no docstring whose first line says what it is: `preimage list` shows that line")


@METHODS.all
def settings(subject: Examined) -> None:
    """`Settings` refuses unknown keys and changes, describes every field, and none is called `use`."""
    model = getattr(subject.method.module, "Settings", None)
    if not (isinstance(model, type) and issubclass(model, Settings)):
        raise LawBroken("the module has no class Settings(preimage.Settings)")
    _expect_closed(model, "Settings")
    if "use" in model.model_fields:
        raise LawBroken("Settings has a field 'use': that key of a run file's section names the method")


@METHODS.all
def settings_survive_json(subject: Examined) -> None:
    """Settings written to JSON and read again are the same: the record of a run can be run again."""
    if not subject.own:
        raise NotOffered("there is no example")
    for given, _ in subject.own:
        if not isinstance(given, Settings):
            raise LawBroken(f"preimage_examples yields {type(given).__name__} where settings are wanted")
        again = type(given).model_validate_json(given.model_dump_json(), context=_binding(given))
        if again != given:
            raise LawBroken(f"{given!r} written to JSON and read again is {again!r}")


def _binding(given: Settings) -> dict[str, Any]:
    """The context of validation that binds sections inside settings to the parts that they were written from."""
    written = [(part, as_section(part)) for part in nested_parts(given)]

    def bind(kind: str, section: Any) -> Part:
        return next(part for part, known in written if part.kind == kind and known == section)

    return {BIND: bind}


@METHODS.all
def examples(subject: Examined) -> None:
    """The module generates examples, and the method can be made for each."""
    if not subject.own:
        raise LawBroken(
            "the module has no preimage_examples, or it yields nothing: there is nothing to check the laws on"
        )
    subject.made  # noqa: B018 - raises what is wrong


@METHODS.all
def annotation(subject: Examined) -> None:
    """The factory's return annotation, from which a run is planned, is true of what it makes."""
    method = subject.method
    try:
        declared = method.declared
    except NameError as error:
        raise LawBroken(
            f"the return annotation of {method.factory} cannot be resolved ({error}): import the class at run time, "
            "not under TYPE_CHECKING alone"
        ) from None
    if declared is Any:
        raise LawBroken(f"{method.factory} has no return annotation: it declares what its parts can do")
    for example in subject.examples:
        part = example.part
        if not any(_is_instance(part, member) for member in members(declared)):
            makes, says = type(part).__name__, getattr(declared, "__name__", declared)
            raise LawBroken(
                f"{example.label}: {method.factory} makes a {makes}, and declares {says}: annotate it -> {makes}"
            )


@METHODS.all
def light_import(subject: Examined) -> None:
    """Importing the package that holds the method imports nothing heavy, so that methods are listed at once."""
    package = subject.method.module.__name__.rpartition(".")[0]
    heavy = _heavy_imports(package) if package else None
    if heavy is None:
        raise NotOffered("the module is in no package that can be imported")
    if heavy:
        raise LawBroken(f"importing {package} imports {', '.join(heavy)}: its __init__.py should import no method")


@SIZES.all
def sizes(subject: Examined) -> None:
    """Among the examples there is an axis of odd length and one of length one."""
    lengths = [
        length
        for example in subject.examples
        for length in (example.space if hasattr(example, "space") else example.operator.domain).sizes.values()
    ]
    if not any(length % 2 and length > 1 for length in lengths):
        raise LawBroken("no example has an axis of odd length: halves and centres go wrong there first")
    if 1 not in lengths:
        raise LawBroken("no example has an axis of length one: 2D data in a 3D method have one")


def _expect_closed(model: type[BaseModel], where: str) -> None:
    """Check a model, and the models inside its fields."""
    if model.model_config.get("extra") != "forbid" or not model.model_config.get("frozen"):
        raise LawBroken(
            f"{where} accepts unknown keys or changes: leave extra='forbid' and frozen=True of preimage.Settings"
        )
    bare = [name for name, field in model.model_fields.items() if not field.description]
    if bare:
        raise LawBroken(
            f"{where} does not describe {', '.join(bare)}: `preimage describe` shows what each setting means"
        )
    for name, field in model.model_fields.items():
        for inner in _models(field.annotation):
            _expect_closed(inner, f"{where}.{name}")


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models(argument)]


def _is_instance(part: Any, declared: Any) -> bool:
    """Whether a part is of a class or offers a protocol; one that cannot be asked is looked up name by name."""
    declared = get_origin(declared) or declared
    if getattr(declared, "_is_protocol", False) and not getattr(declared, "_is_runtime_protocol", False):
        return all(hasattr(part, name) for name in vars(declared) if not name.startswith("_"))
    return offers(part, declared) is not None


@functools.cache
def _heavy_imports(package: str) -> list[str] | None:
    """What importing a package imports, in a process of its own; None if it cannot be imported by its name."""
    code = f"import sys, {package}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode == 0 else None
