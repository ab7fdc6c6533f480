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


def forget_peak() -> None:
    """Let `peak` count from now on (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def keep_heap() -> None:
    """Let all threads of this process share one heap, which keeps what is freed for what comes next (glibc).

    Otherwise each thread that decodes chunks keeps memory of its own, which adds up to several blocks. And what every
    block frees and takes again goes back to the system in between, which clears its pages one by one, for a tenth of
    the CPU of a run. Arrays above 32 MiB still do: holes that they leave are seldom those in which others fit, so that
    a block would hold up to twice what it needs.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # not glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, 2**25)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def release_heap() -> None:
    """Give back to the system what the heap of this process keeps and nobody uses (glibc)."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Numbers of these settings in glibc's malloc.h."""
