"""Worker processes on this machine, each doing one task at a time.

They are told tasks by a pipe, and by another they answer and say how far they are, in JSON: nothing is unpickled. One
that dies is replaced, and its task is tried again.
"""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import preimage.errors
from preimage.errors import PreimageError, RunError
from preimage.run_settings import ComputeSettings
from preimage.volumes.devices import choose_device
from preimage.volumes.engines.attempts import Attempts
from preimage.volumes.engines.environment import worker_environment
from preimage.volumes.markers import Beside
from preimage.volumes.progress import Progress
from preimage.volumes.resolve import Resolved
from preimage.volumes.tasks.task import Facts, Task

LOOK = 0.2
"""Seconds after which the driver looks whether it is interrupted."""
PATIENCE = 60.0
"""Seconds that a worker which is asked to stop has to save its state."""


class Processes:
    """So many worker processes."""

    def __init__(self, compute: ComputeSettings, interrupted: Callable[[], bool], progress: Progress) -> None:
        self.compute = compute
        self.interrupted = interrupted
        self.progress = progress
        self._children: list[_Child] = []
        self._answers: queue.SimpleQueue[tuple[_Child, str]] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        """Processes are started when there is work for them."""
        return self

    def __exit__(self, *error: object) -> None:
        """End them."""
        self._end()

    def device(self, name: str) -> str:
        """That of this machine."""
        return str(choose_device(name))

    def open(self, output: Path, run: str, builder: str, resolved: Resolved) -> None:
        """The run whose tasks will be given."""
        self.of_run = (str(output), run, builder)
        beside = Beside(output)
        self.attempts, self.logs = Attempts(self.progress, beside), beside.logs
        self.progress.employed(self.compute.workers)

    def run(self, tasks: Iterable[Task]) -> Iterator[Facts]:
        """Yield what is known of each task, as they are done."""
        try:
            yield from self._done(iter(tasks))
        except BaseException:
            self._end()  # now, while no other process may drive the run
            raise

    def _done(self, waiting: Iterator[Task]) -> Iterator[Facts]:
        again: deque[Task] = deque()
        while True:
            while self._has_room:
                task = again.popleft() if again else next(waiting, None)
                if task is None:
                    break
                self._idle().give(task)
            if not any(child.task for child in self._children):
                return
            if self.interrupted():
                raise KeyboardInterrupt
            try:
                child, line = self._answers.get(timeout=LOOK)
            except queue.Empty:
                continue
            facts = json.loads(line) if line else {}
            if "step" in facts:
                self.progress.stepped(*facts["step"])
                continue
            task, child.task = child.task, None
            if not line:
                self._children.remove(child)
                child.ask_to_end()
                if task is not None:
                    self.attempts.failed(task, child.obituary())
                    again.append(task)
                continue
            assert task is not None
            if facts.get("again"):
                self.attempts.failed(task, facts["message"])
                again.append(task)
            elif "error" in facts:
                raise _raised(task, facts, child)
            elif facts.get("stopped"):
                raise KeyboardInterrupt
            else:
                yield facts

    def _end(self) -> None:
        """End all processes; what is in work is saved."""
        children, self._children = self._children, []
        for child in children:
            child.ask_to_end()
        until = time.monotonic() + PATIENCE
        for child in children:
            child.end(max(0.1, until - time.monotonic()))

    @property
    def _has_room(self) -> bool:
        """Whether there is a process that has nothing to do, or may be one more."""
        return len(self._children) < self.compute.workers or any(child.task is None for child in self._children)

    def _idle(self) -> _Child:
        """A process that has nothing to do, started if there is none."""
        for child in self._children:
            if child.task is None:
                return child
        numbers = {child.number for child in self._children}
        number = next(i for i in range(1, self.compute.workers + 1) if i not in numbers)
        child = _Child(number, self.of_run, self.compute.threads, self.logs, self._answers)
        self._children.append(child)
        return child


class _Child:
    """One worker process.

    Attributes
    ----------
    task : what it does; None while it waits.
    """

    def __init__(
        self, number: int, of_run: Sequence[str], threads: int, logs: Path, answers: queue.SimpleQueue[Any]
    ) -> None:
        self.number = number
        self.log = logs / f"worker-{number}.log"
        self.task: Task | None = None
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "preimage.volumes.engines.child", *of_run],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=worker_environment(threads),
                text=True,
            )
        threading.Thread(target=self._listen, args=(answers,), daemon=True).start()

    def _listen(self, answers: queue.SimpleQueue[Any]) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):  # else it died while it wrote
                answers.put((self, line))
        answers.put((self, ""))

    def give(self, task: Task) -> None:
        """Give it a task; if it has just died, its end is heard as that of any other."""
        self.task = task
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(asdict(task)) + "\n")
            self.process.stdin.flush()

    def ask_to_end(self) -> None:
        """Ask it to save what it does, and end."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def end(self, patience: float) -> None:
        """Wait for its end, and end it if it takes too long."""
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def obituary(self) -> str:
        """How it died, and what it said last."""
        code = self.process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            how = f"its worker process was killed by {name}"
            how += " (out of memory, if nobody did it: give the run less compute.memory)" if name == "SIGKILL" else ""
        else:
            how = f"its worker process ended with code {code}"
        last = self.last_words()
        return f"{how}; its last words: {last}" if last else how

    def last_words(self, n: int = 3) -> str:
        """The last lines of its log."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return " | ".join(line.strip() for line in lines[-n:] if line.strip())


def _raised(task: Task, facts: Facts, child: _Child) -> PreimageError:
    """What went wrong in a worker, as the error that it is."""
    kind = getattr(preimage.errors, facts["error"], None)
    if isinstance(kind, type) and issubclass(kind, PreimageError):
        return kind(facts["message"])
    return RunError(f"{task}: {facts['error']}: {facts['message']}; see {child.log}. Finished blocks are kept")
