"""A worker process of this machine: reads tasks as lines of JSON, answers each by a line, and says how far it is.

Started by `preimage.volumes.engines.processes`. When its input ends, by its driver's wish or because the driver is
gone, it saves the state of the block in work and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
from typing import IO, Any

from preimage.errors import PreimageError
from preimage.volumes.tasks.task import Task, Tell, perform


def main() -> None:
    """Work until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the driver, and the driver tells us
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a plugin prints is not an answer
    output, run, builder = sys.argv[1:]
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    ended = threading.Event()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        ended.set()
        lines.put("")

    def tell(*step: int) -> None:
        with contextlib.suppress(BrokenPipeError):  # the driver is gone: the state is about to be saved
            answers.write(json.dumps({"step": step}) + "\n")

    threading.Thread(target=read, daemon=True).start()
    while line := lines.get():
        _answer(answers, _outcome(output, run, builder, Task(**json.loads(line)), ended, tell))


def _outcome(output: str, run: str, builder: str, task: Task, ended: threading.Event, tell: Tell) -> dict[str, Any]:
    try:
        return perform(output, run, builder, task, ended.is_set, tell)
    except PreimageError as error:
        return {"error": type(error).__name__, "message": str(error)}
    except OSError as error:
        return {"error": "OSError", "message": str(error), "again": True}
    except Exception as error:
        traceback.print_exc()
        return {"error": type(error).__name__, "message": str(error)}


def _answer(answers: IO[str], outcome: dict[str, Any]) -> None:
    try:
        answers.write(json.dumps(outcome) + "\n")
    except BrokenPipeError:  # the driver is gone; the marker says it all
        sys.exit()


if __name__ == "__main__":
    main()
