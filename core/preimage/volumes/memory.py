"""What this process holds in memory, and held at most."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
from pathlib import Path


def held() -> int:
    """Bytes that this process holds now."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # no such thing on this system
        return peak()
    return pages * resource.getpagesize()


def peak() -> int:
    """Bytes that it held at most.

    `ru_maxrss` would do, were it not inherited: a process that a large one starts begins with the peak of that.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def share_one_heap() -> None:
    """Let all threads of this process share one heap, where the C library has many (glibc).

    Chunks are decoded by threads; what each keeps of its own heap for later adds up to several blocks.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # not glibc
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


_ARENA_MAX = -8
"""Number of this setting in glibc's malloc.h."""
