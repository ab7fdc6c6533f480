"""Which methods are installed: read from the metadata of distributions, importing none of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import metadata

import preimage
from preimage.hookspecs import EXTENSIONS, KINDS

EXTENSION = "extension"
"""The kind, so to say, of an extension: a module named in plugins.toml that wraps factories or observes runs."""

Blocks = Callable[["Method"], str]


@dataclass(frozen=True)
class Method:
    """An entry point that a distribution declares.

    Attributes
    ----------
    kind : one of the kinds of `preimage.hookspecs.KINDS`, or `extension`.
    name : such as `fista`.
    distribution : its normalised name.
    version : of the distribution.
    entry_point : where its module is.
    blocked : why it may not be imported, by policy or version; empty if it may.
    """

    kind: str
    name: str
    distribution: str
    version: str
    entry_point: metadata.EntryPoint = field(repr=False)
    blocked: str = ""

    @property
    def key(self) -> str:
        """`kind.name`."""
        return f"{self.kind}.{self.name}"

    @property
    def full_name(self) -> str:
        """`distribution:name`, which is never ambiguous within a kind."""
        return f"{self.distribution}:{self.name}"

    def __str__(self) -> str:
        """Such as `prior.sparsity of preimage-variational 1.0.0`."""
        return f"{self.key} of {self.distribution} {self.version}"


def discover(blocks: Blocks) -> list[Method]:
    """All methods and extensions, by kind, name and distribution: never in the order of sys.path.

    Of a distribution that is met twice on sys.path the first counts, as it does for imports.

    Parameters
    ----------
    blocks : why policy keeps a method from being imported, or an empty string.
    """
    groups = {kind.group: name for name, kind in KINDS.items()} | {EXTENSIONS: EXTENSION}
    found: dict[tuple[str, str, str], Method] = {}
    installed = metadata.entry_points()
    for group, kind in groups.items():
        for entry_point in installed.select(group=group):
            distribution = entry_point.dist
            if distribution is None:  # made by hand, not installed
                continue
            name, version, requires = _identity(distribution)
            method = Method(kind, entry_point.name, name, version, entry_point)
            blocked = blocks(method) or _incompatible(name, version, requires)
            found.setdefault((kind, method.name, name), replace(method, blocked=blocked))
    order = list(groups.values())
    return sorted(found.values(), key=lambda m: (order.index(m.kind), m.name, m.distribution))


def normalised(distribution: str) -> str:
    """A distribution's name as package indexes compare it: `Lab_Optics` is `lab-optics`."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _identity(distribution: metadata.Distribution) -> tuple[str, str, tuple[str, ...]]:
    """Its normalised name, its version and what it requires, also where its metadata are incomplete."""
    try:
        about, requires = distribution.metadata, tuple(distribution.requires or ())
    except FileNotFoundError:  # so says the backport importlib_metadata, which replaces ours once anything imports it
        return "unknown", "unknown", ()
    name, version = (about[field] if field in about else "unknown" for field in ("Name", "Version"))  # noqa: SIM401
    return normalised(name), version, requires


@lru_cache(maxsize=256)
def _incompatible(distribution: str, version: str, requires: tuple[str, ...]) -> str:
    """Why a distribution does not fit this preimage, by its own requirement; one that states none fits."""
    from packaging.requirements import InvalidRequirement, Requirement  # takes longer than all the rest of this module

    for text in requires:
        if not text.lower().startswith("preimage"):
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            return f"{distribution} {version} states a requirement that cannot be read: {text!r}"
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        fits = requirement.specifier.contains(preimage.__version__, prereleases=True)
        if normalised(requirement.name) == "preimage" and applies and not fits:
            return f"{distribution} {version} needs preimage{requirement.specifier}, this is {preimage.__version__}"
    return ""
