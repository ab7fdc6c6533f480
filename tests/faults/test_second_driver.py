"""Two drivers of one run: the second is refused while the first is there, and takes over where it is gone."""

import json
import threading
import time
from dataclasses import asdict, replace

import pytest
from support.gated import HELD_AT

from preimage.errors import RequestError
from preimage.files import write_atomically
from preimage.volumes.lease import Lease


def test_a_second_driver_on_this_machine_is_refused(case, survived):
    case.gate.let_pass(2)
    first = case.driver()
    first.until(case.are(done=2, held=1), "two blocks done and one held")
    before = case.marked()
    refused = f"is being written by process {first.process.pid} on .*: wait for it, stop it, or choose another output"
    with pytest.raises(RequestError, match=refused):
        case.run().execute()
    with pytest.raises(RequestError, match=refused):
        case.run().execute(fresh=True)
    assert case.marked() == before
    case.gate.open()
    first.wait()
    survived(case, "a second driver", "nothing: it is refused", "nothing")


class Elsewhere:
    """A driver on another machine, as this one sees it: a lease that beats, and no lock."""

    def __init__(self, path):
        self.path = path
        self.lease = replace(Lease.of_this_process(), host="elsewhere", place="another boot", pid=7)
        self.gone = threading.Event()
        self.thread = threading.Thread(target=self._beat_on)

    def __enter__(self):
        self._beat()  # it is there before the second looks; the next beats may take their time, within a usual period
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.gone.set()
        self.thread.join()
        self._beat(period=0.2)  # its last, after which the second need not wait as long

    def _beat_on(self):
        while not self.gone.is_set():
            self._beat()
            time.sleep(0.02)

    def _beat(self, **how):
        self.lease = replace(self.lease, beat=self.lease.beat + 1, **how)
        write_atomically(self.path, json.dumps(asdict(self.lease)))


def test_a_second_driver_on_another_machine_is_refused_and_takes_over_when_the_first_is_silent(case, survived):
    held = case.interrupted(done=2)
    case.gate.open()
    refused = "is being written by process 7 on elsewhere"
    with Elsewhere(case.beside.lease), pytest.raises(RequestError, match=refused):
        case.run().execute()
    assert len(case.done()) == 2
    case.run().execute()  # the last beat is still there, and no other comes
    assert case.beside.read(1, held)["resumed_from"] == HELD_AT
    survived(case, "a second driver on another machine", "nothing: it is refused", "nothing")
