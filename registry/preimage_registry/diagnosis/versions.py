"""Python, preimage, and what it is built on."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata

import preimage
from preimage_registry.diagnosis.findings import Finding


def versions() -> Iterator[Finding]:
    """Versions that are installed, against those that preimage needs."""
    from packaging.requirements import Requirement

    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("preimage", preimage.__version__)
    for need in map(Requirement, metadata.requires("preimage") or ()):
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        install = f"pip install '{need.name}{need.specifier}'"
        try:
            version = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            yield Finding(need.name, "not installed", install)
            continue
        fits = need.specifier.contains(version, prereleases=True)
        yield Finding(need.name, version if fits else f"{version}, not {need.specifier}", "" if fits else install)
