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
from preimage.volumes.engines.inspection import perform_announced
from preimage.volumes.engines.workforce import Workforce
from preimage.volumes.markers import Beside
from preimage.volumes.progress import Progress
from preimage.volumes.resolve import Resolved
from preimage.volumes.tasks.task import Facts, Task

WINDOW = 4
"""Tasks a worker that the scheduler has at a time: enough that none waits for the driver, few enough to stay light."""
LOOK = 0.2
"""Seconds after which the driver looks whether it is interrupted, and whether workers are there."""
TELL = 2.0
"""Seconds after which it tells that it waits for the first worker; a queue may take long to start one."""
OTHERS = 10.0
"""Seconds that others who are there have to answer once the first did; who needs longer joins later."""
PATIENCE = 60.0
"""Seconds that workers which are asked to stop have to save their states."""
SILENCE = 10.0
"""Seconds without a sign of life after which nobody waits for these any more."""
ANSWER = 2.0
"""Seconds in which the scheduler has to answer at the end of a run."""


class Cluster:
    """The workers of a dask scheduler."""

    def __init__(self, compute: ComputeSettings, interrupted: Callable[[], bool], progress: Progress) -> None:
        self.compute = compute
        self.interrupted = interrupted
        self.progress = progress
        self.address = address_of(compute)
        self._at_work: dict[str, Task] = {}
        self._in_work: dict[Future[Any], Task] = {}

    def __enter__(self) -> Self:
        """Connect, and see who is there.

        Raises
        ------
        RequestError : the scheduler is not to be used, or no worker is there, or none has these versions.
        """
        self.client = connect(self.compute, self.address)
        self.workforce = Workforce(self.client, self.progress, int(self.compute.memory), self._lost)
        try:
            self._await_workers()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Let go of the scheduler; it forgets the tasks of this run."""
        self._close()

    def device(self, name: str) -> str:
        """That of the workers, which all must have it."""
        return self.workforce.device(name)

    def open(self, output: Path, run: str, builder: str, resolved: Resolved) -> None:
        """The run whose tasks will be given."""
        self.of_run = (str(output.absolute()), run, builder)
        self.beside = Beside(output)
        self.attempts = Attempts(self.progress, self.beside)
        self.beside.stop.unlink(missing_ok=True)
        self.workforce.admit_to(*self.of_run)

    def run(self, tasks: Iterable[Task]) -> Iterator[Facts]:
        """Yield what is known of each task, as they are done."""
        self._in_work = {}
        try:
            yield from self._done(deque(tasks), self._in_work)
        except BaseException:
            self._stop(self._in_work)  # now, while no other process may drive the run
            raise
        finally:
            with contextlib.suppress(ValueError, distributed.client.ClosedClientError):  # never begun, or gone
                self.client.unsubscribe_topic(self._topic)

    def _done(self, waiting: deque[Task], in_work: dict[Future[Any], Task]) -> Iterator[Facts]:
        done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._check_open()
        self.client.subscribe_topic(self._topic, self._announced)
        self.workforce.hear()
        while waiting or in_work:
            self._check_open()
            if self.client.status == "running":
                self.workforce.look()
                while waiting and len(in_work) < WINDOW * len(self.workforce.able):
                    task = waiting.popleft()
                    future = self._submit(task)
                    in_work[future] = task
                    future.add_done_callback(done.put)
            self._watch()
            if self.interrupted():
                raise KeyboardInterrupt
            try:
                future = done.get(timeout=LOOK)
            except queue.Empty:
                continue
            self.workforce.hear()
            task = in_work.pop(future)
            facts = self._outcome(future, task)
            if facts is None:
                waiting.appendleft(task)
            elif facts.get("stopped"):
                raise KeyboardInterrupt
            else:
                yield facts

    def _submit(self, task: Task) -> Future[Any]:
        return self.client.submit(
            perform_announced,
            self._topic,
            *self.of_run,
            task,
            pure=False,
            retries=0,
            resources=self.workforce.resources,
        )

    @property
    def _topic(self) -> str:
        """Under which workers say what they begin to do."""
        return f"preimage-{self.of_run[1]}"

    def _announced(self, event: tuple[float, Mapping[str, Any]]) -> None:
        self._at_work[event[1]["worker"]] = Task(**event[1]["task"])

    def _lost(self, worker: str) -> None:
        """A worker is gone. What it was doing may be the reason; what only waited there is not."""
        why = f"the worker {worker} is gone: others take over what it did"
        task = self._at_work.pop(worker, None)
        if task is not None and task in self._in_work.values():
            self.attempts.failed(task, why)
        else:
            self.progress.failed(why)

    def _outcome(self, future: Future[Any], task: Task) -> Facts | None:
        """What is known of a task that has ended; None where it is to be tried again."""
        try:
            return dict(future.result())
        except PreimageError:
            raise
        except KilledWorker:
            return None  # the scheduler counts those too that only waited on workers that died: see `_lost`
        except distributed.CancelledError as error:
            if error.reason != "scheduler-connection-lost":  # which is not the task's fault
                self.attempts.failed(task, shortened(error))
        except OSError as error:
            self.attempts.failed(task, shortened(error))
        except Exception as error:
            raise RunError(f"{task}: {type(error).__name__}: {error}. Finished blocks are kept") from error
        return None

    def _check_open(self) -> None:
        """See that the client has not given up: for a while one that lost its scheduler tries to reach it again.

        Raises
        ------
        RunError : it has.
        """
        if self.client.status == "closed":
            raise RunError(
                f"the scheduler at {self.address} is gone. Finished blocks are kept: "
                "start a scheduler and workers, and run it again"
            )

    def _stop(self, in_work: Mapping[Future[Any], Task]) -> None:
        """Leave word for the workers, and wait until those that are at work have saved their states."""
        with contextlib.suppress(OSError):
            self.beside.stop.touch()
        if self.client.status != "running":
            return
        until = time.monotonic() + PATIENCE
        given = self.workforce.answer(self.client.scheduler.processing, within=ANSWER, workers=None) or {}
        keys = {key for keys in given.values() for key in keys}
        started = [future for future in in_work if future.key in keys]
        while not all(future.done() for future in started) and time.monotonic() < until:
            self.workforce.look()
            if time.monotonic() - self.workforce.heard > SILENCE:
                return
            time.sleep(0.1)

    def _close(self) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            self.client.close(timeout=ANSWER)

    def _watch(self) -> None:
        """Fail where nobody is there to do the work; who is at work may take as long as it needs."""
        force, now = self.workforce, time.monotonic()
        if not force.able and not force.unanswered and force.refused and not force.employed:
            raise next(iter(force.refused.values()))
        if now - force.heard <= self.compute.stall:
            return
        since, cure = format_seconds(self.compute.stall), "Finished blocks are kept: start workers and run it again"
        if now - force.answered > self.compute.stall / 2:
            raise RunError(
                f"the scheduler at {self.address} does not answer since {since}. Finished blocks are kept: "
                "see what it is doing, or start another and workers, and run it again"
            )
        if force.connected:
            raise RunError(f"no worker of {self.address} does anything since {since}: {force.excuses()}. {cure}")
        raise RunError(
            f"no worker is connected to {self.address} since {since}; "
            f"the last were {', '.join(force.last) or 'none'}{self._last_words()}. {cure}"
        )

    def _last_words(self) -> str:
        """What the scheduler said of workers last."""
        logs = self.workforce.answer(self.client.scheduler.logs, within=ANSWER, n=3) or ()
        return "".join(f" | {message}" for _, message in reversed(logs))

    def _await_workers(self) -> None:
        """Wait until workers have said who they are, one at least."""
        force, begun, told = self.workforce, time.monotonic(), False
        first: float | None = None
        while force.unanswered or not force.seen:
            force.look()
            waited = time.monotonic() - begun
            if force.seen:
                first = first or waited
                if waited > first + OTHERS:
                    return
            elif force.refused and not force.unanswered:
                raise next(iter(force.refused.values()))
            else:
                said = self._nobody()
                if time.monotonic() - force.heard > self.compute.stall:
                    raise RequestError(said)
                if waited > TELL and not told and not force.unanswered:
                    told = True
                    self.progress.noted(f"{said}. Waiting for them for {format_seconds(self.compute.stall)}")
            if self.interrupted():
                raise KeyboardInterrupt
            time.sleep(0.05)

    def _nobody(self) -> str:
        if excuses := self.workforce.excuses():
            return f"no worker of the scheduler at {self.address} is of use: {excuses}"
        return f"the scheduler at {self.address} has no workers: start some by `dask worker {self.address}`"
