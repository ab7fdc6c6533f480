"""What is installed here, whether it works, and what to do where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from preimage_registry.diagnosis.findings import Finding
from preimage_registry.diagnosis.machine import devices, examples, memory, threads
from preimage_registry.diagnosis.plugins import plugins
from preimage_registry.diagnosis.versions import versions

__all__ = ["Finding", "diagnose"]


def diagnose(given: Path | None = None) -> Iterator[Finding]:
    """All findings, in the order in which things depend on one another.

    Parameters
    ----------
    given : the plugins.toml of the command line, if it names one.
    """
    yield from versions()
    yield from devices()
    yield from threads()
    yield from memory()
    yield from plugins(given)
    yield from examples()
