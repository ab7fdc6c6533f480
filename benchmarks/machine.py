"""Where it was measured: the machine, and the versions of what ran."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path

PACKAGES = ("preimage", "torch", "numpy", "sigpy", "deepinv")


def machine() -> dict[str, str | int | None]:
    """The processor, how many cores of it there are, the memory, and the system."""
    return {
        "processor": found("/proc/cpuinfo", r"model name\s*: (.*)") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_kib": found("/proc/meminfo", r"MemTotal:\s*(\d+)"),
        "system": platform.platform(),
    }


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Of Python and of those packages that are installed."""
    known = {"python": platform.python_version()}
    for name in packages:
        try:
            known[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return known


def found(file: str, pattern: str) -> str | None:
    """The first match in a file, where there is one."""
    try:
        match = re.search(pattern, Path(file).read_text())
    except OSError:
        return None
    return None if match is None else match[1].strip()
