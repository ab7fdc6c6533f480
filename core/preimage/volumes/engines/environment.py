"""What the environment of a worker process must be for torch to be fast, and how to see whether it is.

Each worker computes with its own few threads. OpenMP threads that wait by spinning cost several times the CPU where
workers share cores, and glibc that gives memory back at every free (dask's default) doubles the cost of torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
HEAPS = {"MALLOC_ARENA_MAX": "1"}
"""See `preimage.volumes.memory.keep_heap`; before the first thread, only the environment tells."""
TRIMMING = "MALLOC_TRIM_THRESHOLD_"


def worker_environment(threads: int) -> dict[str, str]:
    """The environment in which a worker process is started."""
    inherited = {name: value for name, value in os.environ.items() if name != TRIMMING}
    return inherited | WAITING | HEAPS | dict.fromkeys(THREAD_COUNTS, str(threads))


def complaints(environment: Mapping[str, str]) -> list[str]:
    """What is wrong with the environment of a worker that was started by somebody else, with the cure."""
    found = []
    if environment.get(TRIMMING):
        found.append(
            f"{TRIMMING}={environment[TRIMMING]} doubles the CPU of torch: dask's nanny sets it; start the worker with "
            "DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON=\"{'MALLOC_TRIM_THRESHOLD_': None}\""
        )
    if environment.get("OMP_WAIT_POLICY", "").upper() != "PASSIVE":
        found.append("OMP_WAIT_POLICY is not PASSIVE: threads that wait burn CPU that other workers need")
    return found
