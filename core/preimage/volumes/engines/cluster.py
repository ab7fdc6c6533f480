"""Workers of a dask scheduler, found by its address or its file.

The scheduler carries names of tasks and what is known of them when they are done, about 200 bytes each: no arrays.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import distributed
from distributed import Future
from distributed.scheduler import KilledWorker

from preimage.errors import PreimageError, RequestError, RunError
from preimage.run_settings import ComputeSettings
from preimage.units import format_seconds
from preimage.volumes.engines.attempts import Attempts
from preimage.volumes.engines.connecting import address_of, connect, shortened
from preimage.volumes.engines.inspection import Seen, complaints_about, inspect_workers
from preimage.volumes.markers import Beside
from preimage.volumes.progress import Progress
from preimage.volumes.resolve import Resolved
from preimage.volumes.tasks.task import Facts, Task, perform

WINDOW = 4
"""Tasks a worker that the scheduler has at a time: enough that none waits for the driver, few enough to stay light."""
LOOK = 0.5
"""Seconds after which the driver looks whether it is interrupted, and whether workers are there."""
REFRESH = 5.0
"""Seconds after which it looks who is there while all goes well."""
TELL = 2.0
"""Seconds after which it tells that it waits for the first worker; a queue may take long to start one."""
PATIENCE = 60.0
"""Seconds that workers which are asked to stop have to save their states."""
GPU = "GPU"
"""The resource of which a worker that has a GPU offers 1."""


class Cluster:
    """The workers of a dask scheduler."""

    def __init__(self, compute: ComputeSettings, interrupted: Callable[[], bool], progress: Progress) -> None:
        self.compute = compute
        self.interrupted = interrupted
        self.progress = progress
        self.attempts = Attempts(progress)
        self.address = address_of(compute)
        self.resources: dict[str, float] | None = None
        self._known: Mapping[str, Any] = {}
        self._there: frozenset[str] = frozenset()
        self._looked = 0.0

    def __enter__(self) -> Self:
        """Connect, and see who is there.

        Raises
        ------
        RequestError : the scheduler is not to be used, or no worker is there, or one has other versions.
        """
        self.client = connect(self.compute, self.address)
        try:
            self._await_workers()
        except BaseException:
            self.client.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Let go of the scheduler; it forgets the tasks of this run."""
        self.client.close()

    def device(self, name: str) -> str:
        """That of the workers, which all must have it."""
        found = {seen.devices.get(name, "") for seen in self.seen.values()}
        if found == {""} or len(found) > 1:
            here = "; ".join(f"{who}: {seen.devices.get(name) or 'none'}" for who, seen in self.seen.items())
            raise RequestError(
                f'compute.device = "{name}" is not the same on all workers ({here}): name one that they all have'
            )
        return found.pop()

    def open(self, output: Path, run: str, builder: str, resolved: Resolved) -> None:
        """The run whose tasks will be given."""
        self.output, self.of_run, self.builder = output.absolute(), run, builder
        self.stop = Beside(output).stop
        self.stop.unlink(missing_ok=True)
        self.progress.employed(len(self._known))
        if all(_has_gpu(worker) for worker in self._known.values()):
            self.resources = {GPU: 1.0}

    def run(self, tasks: Iterable[Task]) -> Iterator[Facts]:
        """Yield what is known of each task, as they are done."""
        in_work: dict[Future[Any], Task] = {}
        try:
            yield from self._done(iter(tasks), in_work)
        except BaseException:
            self._stop(in_work)  # now, while no other process may drive the run
            raise

    def _done(self, waiting: Iterator[Task], in_work: dict[Future[Any], Task]) -> Iterator[Facts]:
        again: deque[Task] = deque()
        done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        heard = time.monotonic()
        while True:
            connected = self._is_connected()
            while connected and len(in_work) < WINDOW * max(1, len(self._known)):
                task = again.popleft() if again else next(waiting, None)
                if task is None:
                    break
                future = self._submit(task)
                in_work[future] = task
                future.add_done_callback(done.put)
            if connected and not in_work:
                return
            if self.interrupted():
                raise KeyboardInterrupt
            try:
                future = done.get(timeout=LOOK)
            except queue.Empty:
                heard = self._watch(heard)
                continue
            heard = time.monotonic()
            if heard - self._looked > REFRESH:
                self._look()
            task = in_work.pop(future)
            facts = self._outcome(future, task)
            if facts is None:
                again.append(task)
            elif facts.get("stopped"):
                raise KeyboardInterrupt
            else:
                yield facts

    def _submit(self, task: Task) -> Future[Any]:
        return self.client.submit(
            perform, str(self.output), self.of_run, self.builder, task, pure=False, retries=0, resources=self.resources
        )

    def _outcome(self, future: Future[Any], task: Task) -> Facts | None:
        """What is known of a task that has ended; None where it is to be tried again."""
        try:
            return dict(future.result())
        except PreimageError:
            raise
        except KilledWorker as error:
            self.attempts.failed(task, f"its worker died again and again, the last was {error.last_worker.address}")
        except distributed.CancelledError as error:
            if self._is_connected():  # else it is not the task's fault
                self.attempts.failed(task, shortened(error))
        except OSError as error:
            self.attempts.failed(task, shortened(error))
        except Exception as error:
            raise RunError(f"{task}: {type(error).__name__}: {error}. Finished blocks are kept") from error
        return None

    def _is_connected(self) -> bool:
        """Whether the scheduler is there; for a while a client that lost it tries to reach it again.

        Raises
        ------
        RunError : it gave up.
        """
        if self.client.status == "closed":
            raise RunError(
                f"the scheduler at {self.address} is gone. Finished blocks are kept: "
                "start a scheduler and workers, and run it again"
            )
        return bool(self.client.status == "running")

    def _stop(self, in_work: Mapping[Future[Any], Task]) -> None:
        """Leave word for the workers, and wait until those that are at work have saved their states."""
        until = time.monotonic() + PATIENCE
        with contextlib.suppress(OSError, TimeoutError):
            self.stop.touch()
            if self.client.status == "running" and self._workers():
                given = {key for keys in self.client.processing().values() for key in keys}
                started = [future for future in in_work if future.key in given]
                while not all(future.done() for future in started) and time.monotonic() < until:
                    time.sleep(0.1)

    def _watch(self, heard: float) -> float:
        """Fail where nobody is there to do the work; who is at work may take as long as it needs."""
        if not self._is_connected():
            return heard
        if self._look():
            return time.monotonic()
        if time.monotonic() - heard > self.compute.stall:
            last = ", ".join(self._known) or "none"
            raise RunError(
                f"no worker is connected to {self.address} since {format_seconds(self.compute.stall)}; "
                f"the last were {last}{self._last_words()}. Finished blocks are kept: start workers and run it again"
            )
        return heard

    def _look(self) -> bool:
        """See who is there; those that were are kept in mind while nobody is."""
        self._looked = time.monotonic()
        workers = self._workers()
        there = frozenset(workers)
        for address in sorted(self._there - there):
            self.progress.failed(f"the worker {address} is gone: others take over what it did")
        if len(there) != len(self._there):
            self.progress.employed(len(there))
        self._there = there
        self._known = workers or self._known
        return bool(workers)

    def _workers(self) -> Mapping[str, Any]:
        """Workers that can do the work, as their scheduler knows them."""
        # `scheduler_info` would do, had it not told of five workers only in some versions.
        said: Any = self.client.sync(self.client.scheduler.identity, n_workers=-1)
        return {name: worker for name, worker in said["workers"].items() if not self.resources or _has_gpu(worker)}

    def _last_words(self) -> str:
        """What the scheduler said of workers last."""
        try:
            logs = self.client.get_scheduler_logs(n=3)
        except (OSError, TimeoutError):
            return ""
        return "".join(f" | {message}" for _, message in reversed(logs))

    def _await_workers(self) -> None:
        """See every worker, and what is wrong with it."""
        said = f"the scheduler at {self.address} has no workers: start some by `dask worker {self.address}`"
        begun, told = time.monotonic(), False
        while not (workers := self._workers()):
            waited = time.monotonic() - begun
            if waited > self.compute.stall:
                raise RequestError(said)
            if waited > TELL and not told:
                told = True
                self.progress.noted(f"{said}. Waiting for them for {format_seconds(self.compute.stall)}")
            if self.interrupted():
                raise KeyboardInterrupt
            time.sleep(0.1)
        self._known, self._there, self._looked = workers, frozenset(workers), time.monotonic()
        self.seen: dict[str, Seen] = inspect_workers(self.client)
        for said in complaints_about(self.seen, self._known, int(self.compute.memory)):
            self.progress.noted(said)


def _has_gpu(worker: Mapping[str, Any]) -> bool:
    return bool(worker.get("resources", {}).get(GPU))
