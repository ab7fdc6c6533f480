"""What a driver wants to know of workers that somebody else started."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from preimage.errors import RequestError
from preimage.units import format_bytes
from preimage.volumes.engines.environment import complaints

if TYPE_CHECKING:
    import distributed

NAMES = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_")


@dataclass(frozen=True)
class Seen:
    """A worker.

    Attributes
    ----------
    environment : what decides how fast it is.
    devices : what each name of a device means there; without those that are not there.
    versions : of what computes.
    """

    environment: Mapping[str, str]
    devices: Mapping[str, str]
    versions: Mapping[str, str]


def inspect_workers(client: distributed.Client) -> dict[str, Seen]:
    """Every worker by its address.

    Raises
    ------
    RequestError : one does not answer, or has something else installed than this process.
    """
    try:
        found: dict[str, Seen] = client.run(inspect)
    except (OSError, TimeoutError) as error:
        raise RequestError(f"a worker does not answer ({error}): see its log, and start it again") from None
    except Exception as error:  # what went wrong there comes as text alone
        raise RequestError(
            f"a worker lacks what this process has ({error}): install preimage and the same plugins on every worker"
        ) from None
    mine = _versions()
    for address, seen in found.items():
        for name, other in seen.versions.items():
            if mine[name] != other:
                raise RequestError(
                    f"the worker {address} has {name} {other}, this process {mine[name]}: "
                    "install the same versions everywhere"
                )
    return found


async def inspect() -> Seen:
    """What is to be known of this process; torch is loaded beside the event loop, which goes on answering."""
    return await asyncio.to_thread(_look)


def complaints_about(seen: Mapping[str, Seen], known: Mapping[str, Any], memory: int) -> Iterator[str]:
    """What makes workers slow or ends them, with the cure.

    Parameters
    ----------
    known : what their scheduler knows of them.
    memory : bytes that the plan gives one worker.
    """
    for said in sorted({said for worker in seen.values() for said in complaints(worker.environment)}):
        yield f"a worker: {said}"
    if several := sum(worker["nthreads"] > 1 for worker in known.values()):
        yield (
            f"{several} workers take several tasks at a time and do one after the other: "
            "start workers with --nthreads 1"
        )
    limits = [limit for worker in known.values() if (limit := worker.get("memory_limit"))]
    if limits and min(limits) < memory:
        yield (
            f"a worker may use {format_bytes(min(limits))}, less than compute.memory = {format_bytes(memory)}: its "
            "nanny ends it where it uses more; start workers with a larger --memory-limit, or with 0 for none"
        )


def _look() -> Seen:
    from preimage.volumes.devices import choose_device

    devices = {}
    for name in ("auto", "cpu", "cuda", *(f"cuda:{i}" for i in range(8))):
        try:
            devices[name] = str(choose_device(name))
        except RequestError:
            continue
    environment = {name: os.environ[name] for name in NAMES if name in os.environ}
    return Seen(environment, devices, _versions())


def _versions() -> dict[str, str]:
    from preimage.record import library_versions

    found = library_versions()
    del found["python"]  # which may be another patch release
    return found
