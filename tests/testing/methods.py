"""Methods of any kind whose modules break a law: hooks, settings, declarations, imports."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, PrivateAttr

from preimage.hookspecs import hookimpl
from preimage.likelihoods import Gaussian
from preimage.settings import Settings
from preimage.testing.calling import Method
from preimage.testing.examples import Examined

from .fake import NoSettings, Wrong, method, module
from .likelihoods import COMPLEX

if TYPE_CHECKING:
    from elsewhere import Other

# --- right ------------------------------------------------------------------------------------------------------------


def make(settings: Settings) -> Gaussian:
    return Gaussian(0.1)


def make_either(settings: Settings) -> Gaussian | None:
    return Gaussian(0.1)


def package(folder: Path, name: str, init: str) -> ModuleType:
    """A module of a package on the disk, whose __init__.py is what is imported when methods are listed."""
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "__init__.py").write_text(init)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    found = module("likelihood", make, COMPLEX)
    found.__name__ = f"{name}.gaussian"
    return found


def packaged(name: str, init: str) -> Any:
    return lambda folder: Examined(Method("likelihood", package(folder, name, init)), folder)


RIGHT = [
    method("likelihood", make, COMPLEX),
    method("likelihood", make_either, COMPLEX),
    packaged("light_pack", ""),
]

# --- wrong ------------------------------------------------------------------------------------------------------------


@hookimpl
def preimage_axis(settings: Settings) -> dict[str, Any]:
    return {}


@hookimpl
def preimage_memory(settings: Settings, volume: Any) -> Any:
    return None


class Open(BaseModel):
    """Not of the platform's base."""


class Accepting(Settings, extra="ignore"):
    """Swallows misspelt keys."""


class Changing(Settings, frozen=False):
    """Changes after validation."""


class Undescribed(Settings):
    """A field of which nobody knows what it means."""

    weight: float = 1.0


class NamesItself(Settings):
    """Uses the key that names the method."""

    use: str = Field("x", description="taken")


class Inner(BaseModel):
    """A model inside."""

    depth: int = Field(1, description="how deep")


class OpenInside(Settings):
    """A nested model that accepts anything."""

    inner: Inner | None = Field(None, description="more")


class Forgetful(Settings):
    """Has something that JSON does not hold."""

    path: Path = Field(Path(), description="where")
    _hidden: int = PrivateAttr(0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Forgetful) and self._hidden == other._hidden


def forgetful() -> Forgetful:
    settings = Forgetful()
    settings._hidden = 1
    return settings


def unannotated(settings: Settings):
    return Gaussian(0.1)


def untrue(settings: Settings) -> int:
    return Gaussian(0.1)


def unresolvable(settings: Settings) -> Other:
    return Gaussian(0.1)


def wrong(says: str, make: Any = make, examples: Any = COMPLEX, **names: Any) -> Wrong:
    return Wrong(method("likelihood", make, examples, **names), says)


MISSPELT = {"preimage_axis": preimage_axis}

WRONG: dict[str, list[Wrong]] = {
    "hooks": [
        wrong("unknown hook 'preimage_axis'", **MISSPELT),
        wrong("volume", preimage_memory=preimage_memory),
        wrong("has no preimage_likelihood", preimage_likelihood=None),
    ],
    "summary": [wrong("no docstring", __doc__=None), wrong("no docstring", __doc__="\n\nLate.")],
    "settings": [
        wrong("no class Settings", Settings=Open),
        wrong("no class Settings", Settings=None),
        wrong("accepts unknown keys", Settings=Accepting),
        wrong("or changes", Settings=Changing),
        wrong("does not describe weight", Settings=Undescribed),
        wrong("has a field 'use'", Settings=NamesItself),
        wrong("Settings.inner accepts unknown keys", Settings=OpenInside),
    ],
    "settings_survive_json": [
        wrong("read again is", examples=[(forgetful(), COMPLEX[0][1])]),
        wrong("yields dict where settings are wanted", examples=[({}, COMPLEX[0][1])]),
    ],
    "examples": [wrong("no preimage_examples", examples=None), wrong("yields nothing", examples=[])],
    "annotation": [
        wrong("no return annotation", unannotated),
        wrong("makes a Gaussian, and declares .*int", untrue),
        wrong("cannot be resolved", unresolvable),
    ],
    "light_import": [
        Wrong(
            packaged("heavy_pack", "import sys; sys.modules.setdefault('torch', sys)"),
            "importing heavy_pack imports torch",
        )
    ],
}

__all__ = ["RIGHT", "WRONG", "NoSettings"]
