"""Who is there for a run's work: what the scheduler says of workers, and each of itself before it gets a task.

Nothing here waits. Questions are asked, and answers are read once they are there: a scheduler or a worker that is
stopped or cut off leaves the driver free to notice it, and to be interrupted.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import distributed

from preimage.errors import PreimageError, RequestError
from preimage.volumes.engines.connecting import shortened
from preimage.volumes.engines.inspection import Seen, admit, complaints_about, inspect, misfit
from preimage.volumes.progress import Progress

ASK = 0.5
"""Seconds from one answer of the scheduler to the next question."""
GPU = "GPU"
"""The resource of which a worker that has a GPU offers 1."""

Answer = concurrent.futures.Future[Any]


class Workforce:
    """The workers of a scheduler.

    A worker is inspected when it appears, and admitted to the run if it fits: it then has a resource that the run's
    tasks ask for, so that they come to no other worker, and to each worker one at a time. It may appear whenever it
    likes.

    Attributes
    ----------
    lost : told of each worker that is gone.
    connected : what the scheduler says of each worker, by address.
    seen : what is known of those that answered and can be used.
    refused : why the others are not.
    employed : whether there ever was one that may do tasks.
    last : those that did when any did.
    answered : when the scheduler answered last, by the monotonic clock.
    heard : when there was a sign of life of a worker that does tasks or may come to, or somebody began to wait for one.
    """

    def __init__(
        self, client: distributed.Client, progress: Progress, memory: int, lost: Callable[[str], None]
    ) -> None:
        self.client = client
        self.progress = progress
        self.memory = memory
        self.lost = lost
        self.connected: Mapping[str, Mapping[str, Any]] = {}
        self.seen: dict[str, Seen] = {}
        self.refused: dict[str, PreimageError] = {}
        self.employed = False
        self.last: tuple[str, ...] = ()
        self.answered = self.heard = time.monotonic()
        self.resources: dict[str, float] = {}
        self._device: tuple[str, str] | None = None
        self._run: tuple[str, str, str] | None = None
        self._able: frozenset[str] = frozenset()
        self._pulse: dict[str, float] = {}
        self._who: Answer | None = None
        self._due = 0.0
        self._answers: dict[str, Answer] = {}
        self._told: set[str] = set()

    # --- what is known -----------------------------------------------------------------------------------------------

    @property
    def able(self) -> frozenset[str]:
        """Those that may do tasks now."""
        return self._able

    @property
    def unanswered(self) -> list[str]:
        """Those that have not said yet who they are, or whether they can do this run."""
        known = self.seen if self._run is None else self._able
        return [address for address in self._running if address not in known and address not in self.refused]

    @property
    def _running(self) -> list[str]:
        """Those that take tasks; one that is short of memory is paused."""
        return [address for address, worker in self.connected.items() if worker["status"] == "running"]

    def excuses(self) -> str:
        """Why nobody works of those that are connected."""
        return "; ".join(map(self._excuse, self.connected))

    def _excuse(self, address: str) -> str:
        if address in self.refused:
            return str(self.refused[address])
        status = self.connected[address]["status"]
        if status == "paused":
            return f"{address} is paused: it has less memory than it uses, start workers with --memory-limit 0"
        return f"{address} is {'silent' if status == 'running' else status}"

    def device(self, name: str) -> str:
        """The device that a name means on all workers.

        Raises
        ------
        RequestError : it does not mean the same on all.
        """
        found = {seen.devices.get(name, "") for seen in self.seen.values()}
        if found == {""} or len(found) > 1:
            here = "; ".join(f"{who}: {seen.devices.get(name) or 'none'}" for who, seen in self.seen.items())
            raise RequestError(
                f'compute.device = "{name}" is not the same on all workers ({here}): name one that they all have'
            )
        device = found.pop()
        self._device = name, device
        return device

    # --- what is done ------------------------------------------------------------------------------------------------

    def admit_to(self, output: str, run: str, builder: str) -> None:
        """The run whose tasks will be given: workers that can do it, and those that come, are admitted from now on."""
        self._run = output, run, builder
        self.resources = {f"preimage-{run}": 1.0}
        if all(_has_gpu(self.connected.get(address, {})) for address in self.seen):
            self.resources[GPU] = 1.0
        self.heard = time.monotonic()

    def look(self) -> None:
        """Read the answers that have come, and ask what is to be known next."""
        for address in [address for address, answer in self._answers.items() if answer.done()]:
            self._hear(address, self._answers.pop(address))
        if self._who is None:
            if time.monotonic() > self._due:
                # `scheduler_info` would do, had it not told of five workers only in some versions.
                self._who = self._ask(self.client.scheduler.identity, n_workers=-1)
        elif self._who.done():
            asked, self._who = self._who, None
            self._due = time.monotonic() + ASK
            with contextlib.suppress(OSError, concurrent.futures.CancelledError):  # the connection broke
                said = asked.result()
                self.answered = time.monotonic()
                self._read(said["workers"])

    def hear(self) -> None:
        """A task is done, so somebody is there."""
        self.heard = time.monotonic()

    def answer(self, function: Callable[..., Coroutine[Any, Any, Any]], within: float, **arguments: Any) -> Any:
        """What the scheduler answers to another question, or None if that takes too long."""
        asked = self._ask(function, **arguments)
        try:
            return asked.result(within)
        except (OSError, TimeoutError, concurrent.futures.CancelledError):
            asked.cancel()
            return None

    def _ask(self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any, **options: Any) -> Answer:
        async def asked() -> Any:
            return await function(*arguments, **options)

        return asyncio.run_coroutine_threadsafe(asked(), self.client.loop.asyncio_loop)

    def _question(self, address: str) -> None:
        if address not in self.seen:
            question: tuple[Any, ...] = (inspect,)
        elif refusal := self._misplaced(address):
            self._refuse(address, refusal)
            return
        else:
            assert self._run is not None
            question = (admit, *self._run, next(iter(self.resources)))
        self._answers[address] = self._ask(self.client.run, *question, workers=[address], asynchronous=True)

    def _read(self, connected: Mapping[str, Mapping[str, Any]]) -> None:
        """What the scheduler says of workers; what was known of those that are gone is forgotten."""
        self.connected = connected
        for known in (self.seen, self.refused, self._pulse, self._answers):
            for address in known.keys() - connected.keys():
                del known[address]
        gone = sorted(self._able - connected.keys())
        self.last = tuple(self._able) or self.last
        able = frozenset(address for address in self._running if self.resources and self._offers(address))
        if len(able) != len(self._able):
            self.progress.employed(len(able))
        self._able = able
        self.employed = self.employed or bool(able)
        for address in [address for address in self._running if address not in self.refused]:
            if connected[address]["last_seen"] != self._pulse.get(address):  # it sent a heartbeat
                self._pulse[address] = connected[address]["last_seen"]
                self.hear()
        for address, why in self.refused.items() if able else ():
            self._tell(f"the worker {address} is left out: ", str(why).removeprefix(f"the worker {address} "))
        for address in self.unanswered:
            if address not in self._answers:
                self._question(address)
        for address in gone:
            self.lost(address)

    def _offers(self, address: str) -> bool:
        return all(name in self.connected[address]["resources"] for name in self.resources)

    def _hear(self, address: str, answer: Answer) -> None:
        """What a worker answered to the last question."""
        try:
            said = answer.result()[address]
        except PreimageError as error:
            self._refuse(address, error)
        except (OSError, KeyError, concurrent.futures.CancelledError):
            return  # it is gone, or will be asked again
        except Exception as error:  # what went wrong there comes as text alone
            self._refuse(
                address,
                RequestError(
                    f"a worker lacks what this process has ({shortened(error)}): "
                    "install preimage and the same plugins on every worker"
                ),
            )
        else:
            if not isinstance(said, Seen):
                return  # it is admitted, and the scheduler will say so
            if refusal := misfit(address, said):
                self._refuse(address, refusal)
                return
            self.seen[address] = said
            for complaint in complaints_about(said, self.connected[address], self.memory):
                self._tell("a worker: ", complaint)

    def _misplaced(self, address: str) -> PreimageError | None:
        """What speaks against a worker that came later than those by which the run was begun."""
        name, device = self._device or ("", "")
        found = self.seen[address].devices.get(name, "")
        if found != device:
            return RequestError(
                f'the worker {address} has {found or "nothing"} as compute.device = "{name}", the others {device}'
            )
        if GPU in self.resources and not _has_gpu(self.connected[address]):
            return RequestError(f"the worker {address} offers no GPU: start it with --resources GPU=1, as the others")
        return None

    def _refuse(self, address: str, why: PreimageError) -> None:
        self.refused[address] = why
        self.seen.pop(address, None)

    def _tell(self, beginning: str, said: str) -> None:
        """Note something once, be it said of many workers."""
        if said not in self._told:
            self._told.add(said)
            self.progress.noted(beginning + said)


def _has_gpu(worker: Mapping[str, Any]) -> bool:
    return bool(worker.get("resources", {}).get(GPU))
