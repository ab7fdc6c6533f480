"""What a driver asks of workers that somebody else started, and how it lets them in."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import distributed
from distributed.core import Status

from preimage.errors import PreimageError, RequestError, RunError
from preimage.units import format_bytes
from preimage.volumes.engines.environment import complaints
from preimage.volumes.tasks.task import Facts, Task, perform

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


def misfit(address: str, seen: Seen) -> RequestError | None:
    """What speaks against a worker: that it has something else installed than this process."""
    mine = _versions()
    for name, other in seen.versions.items():
        if mine[name] != other:
            return RequestError(
                f"the worker {address} has {name} {other}, this process {mine[name]}: "
                "install the same versions everywhere"
            )
    return None


async def inspect() -> Seen:
    """What is to be known of this process; torch is loaded beside the event loop, which goes on answering."""
    return await asyncio.to_thread(_look)


async def admit(output: str, run: str, builder: str, resource: str, dask_worker: distributed.Worker) -> None:
    """Let a worker have tasks of a run, which ask for a resource of this name.

    Raises
    ------
    RunError : it does not see the run's store, or cannot make its parts, or has other versions of them.
    """
    await asyncio.to_thread(_check, output, run, builder)
    await dask_worker.set_resources(**{resource: 1})
    # Tasks that nobody could do are given out again when a worker begins to take tasks, not when it gets a resource.
    if dask_worker.status is Status.running:
        dask_worker.status = Status.paused
        dask_worker.status = Status.running


def perform_announced(topic: str, output: str, run: str, builder: str, task: Task) -> Facts:
    """Do a task, and say so before: if this worker dies, the driver knows which one it was doing."""
    distributed.get_worker().log_event(topic, {"task": asdict(task)})
    return perform(output, run, builder, task)


def complaints_about(seen: Seen, known: Mapping[str, Any], memory: int) -> Iterator[str]:
    """What makes a worker slow or ends it, with the cure.

    Parameters
    ----------
    known : what its scheduler knows of it.
    memory : bytes that the plan gives one worker.
    """
    yield from complaints(seen.environment)
    if known["nthreads"] > 1:
        yield "it takes several tasks at a time and does one after the other: start workers with --nthreads 1"
    if known["memory_limit"] and known["memory_limit"] < memory:
        yield (
            f"it may use {format_bytes(known['memory_limit'])}, less than compute.memory = {format_bytes(memory)}: its "
            "nanny ends it where it uses more; start workers with a larger --memory-limit, or with 0 for none"
        )


def _check(output: str, run: str, builder: str) -> None:
    import dask.config

    from preimage.volumes.tasks.worker import read_record, resolve_here

    with _answered("make the parts of the run"), dask.config.set(scheduler="synchronous"):
        resolve_here(builder, read_record(Path(output), run))


@contextlib.contextmanager
def _answered(what: str) -> Iterator[None]:
    """Have whatever goes wrong here told as such: the driver takes an OSError for one of the connection."""
    try:
        yield
    except PreimageError:
        raise
    except Exception as error:
        raise RunError(f"a worker cannot {what}: {type(error).__name__}: {error}") from error


def _look() -> Seen:
    from preimage.volumes.devices import choose_device

    devices = {}
    with _answered("say which devices it has"):
        for name in ("auto", "cpu", "cuda", *(f"cuda:{i}" for i in range(8))):
            with contextlib.suppress(RequestError):
                devices[name] = str(choose_device(name))
    environment = {name: os.environ[name] for name in NAMES if name in os.environ}
    return Seen(environment, devices, _versions())


def _versions() -> dict[str, str]:
    from preimage.record import library_versions

    found = library_versions()
    del found["python"]  # which may be another patch release
    return found
