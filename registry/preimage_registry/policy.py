"""plugins.toml: which plugins may run, and which is meant where two have one name."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from preimage.hookspecs import KINDS
from preimage_registry.discovery import EXTENSION, Method, normalised
from preimage_registry.documents import Mistake, did_you_mean, read_source
from preimage_registry.documents.validation import validation_mistakes

FILE = "plugins.toml"
VARIABLE = "PREIMAGE_PLUGINS"


class Trust(BaseModel):
    """Patterns, with `*` and `?`, over distributions (`lab-*`), methods (`solver.*`) or both (`lab-x:fista`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allow: tuple[str, ...] = ("*",)
    """Only what matches one of these may be imported."""
    deny: tuple[str, ...] = ()
    """What matches one of these may not, whatever else is allowed."""


class Policy(BaseModel):
    """The lab's say, which changes a result only by choosing a plugin. It is no sandbox: what may run may do all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trust: Trust = Trust()
    """Who may run."""
    prefer: dict[str, str] = {}
    """`kind.name` → the distribution that is meant."""
    extensions: tuple[str, ...] = ()
    """By name, or `distribution:name`; the first wraps innermost."""
    _path: Path | None = PrivateAttr(None)

    @property
    def path(self) -> Path | None:
        """The file that says so."""
        return self._path

    def blocks(self, method: Method) -> str:
        """Why a method may not be imported; empty if it may."""
        file = self._path or FILE
        for pattern in self.trust.deny:
            if _matches(pattern, method):
                return f"{file} denies {pattern!r}"
        if not any(_matches(pattern, method) for pattern in self.trust.allow):
            return f"{file} does not allow {method.distribution!r}"
        return ""


def find_policy_file(given: Path | None = None) -> Path | None:
    """Return the file given, else that in $PREIMAGE_PLUGINS, else the nearest one upwards, else the user's own."""
    if given is not None:
        return given
    if variable := os.environ.get(VARIABLE):
        return Path(variable)
    here = Path.cwd()
    nearest = next((folder / FILE for folder in (here, *here.parents) if (folder / FILE).is_file()), None)
    if nearest is not None:
        return nearest
    from platformdirs import user_config_path

    own = user_config_path("preimage") / FILE
    return own if own.is_file() else None


def read_policy(path: Path | None) -> Policy:
    """Read a plugins.toml; without one, every installed plugin may run.

    Raises
    ------
    Mistakes : all that is wrong in it.
    RequestError : it cannot be read.
    """
    if path is None:
        return Policy()
    source = read_source(path)
    try:
        policy = Policy.model_validate(source.values)
    except ValidationError as error:
        raise source.mistakes(validation_mistakes(error, source.values, Policy, FILE)) from None
    if wrong := [Mistake(("prefer", key), message) for key in policy.prefer if (message := _no_method(key))]:
        raise source.mistakes(wrong)
    policy._path = path
    return policy


def _no_method(key: str) -> str:
    """Why a key of `[prefer]` names no method; empty if it does."""
    kind, _, name = key.partition(".")
    if not name:
        return 'write "kind.name" = "distribution", such as "operator.blur" = "lab-optics"'
    return "" if kind in KINDS else f"there is no kind {kind!r}{did_you_mean(kind, KINDS)}"


def _matches(pattern: str, method: Method) -> bool:
    if ":" in pattern:
        distribution, _, name = pattern.partition(":")
        return fnmatchcase(method.distribution, normalised(distribution)) and fnmatchcase(method.name, name)
    kind, dot, _ = pattern.partition(".")
    if dot and any(fnmatchcase(one, kind) for one in (*KINDS, EXTENSION)):
        return fnmatchcase(method.key, pattern)
    return fnmatchcase(method.distribution, normalised(pattern))
