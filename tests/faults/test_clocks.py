"""A clock that jumps, and files from the future: nothing that a run decides looks at the time of day."""

import os
import time

import pytest
from support.bitwise import computed
from support.drivers import TESTS
from support.gated import HELD_AT

from preimage.volumes.lease import Lease

DAY = 86400

JUMPING = """
import itertools, time
real, hours = time.time, itertools.cycle([0, 36, -36, 1, -1000])
time.time = lambda: real() + 3600 * next(hours)
time.time_ns = lambda: int(1e9 * time.time())
"""
"""Whoever asks for the time of day hears another day each time; Python runs this in every process that it starts."""


def age(folder, days):
    """Every other file is of days ago, the rest of days to come."""
    for i, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        then = time.time() + days * DAY * (-1) ** i
        os.utime(path, (then, then))


@pytest.mark.faults
@pytest.mark.parametrize("workers", [1, 2])
def test_a_clock_that_jumps_changes_nothing(case, survived, workers):
    (case.logs / "sitecustomize.py").write_text(JUMPING)
    environment = {"PYTHONPATH": f"{case.logs}:{TESTS}"}
    case.gate.let_pass(2)
    driver = case.driver({"workers": workers}, environment=environment)
    driver.until(case.are(done=2, held=workers), "two blocks done, and the others held")
    driver.interrupt()
    driver.wait(code=130)
    for folder in (case.output, case.beside.folder):
        age(folder, 1000)
    before, held = case.marked(), case.held()
    case.gate.open()
    case.driver({"workers": workers}, environment=environment).wait()
    assert computed(before, case.marked()) == [(1, block) for block in range(6) if (1, block) not in before]
    assert [case.beside.read(1, block)["resumed_from"] for block in held] == [HELD_AT] * workers
    assert all(0 <= facts["seconds"] < 60 for facts in (case.beside.read(1, block) for block in range(6)))
    assert Lease.read(case.beside.lease).state == "finished"
    how = "" if workers == 1 else ", with processes"
    survived(case, f"a clock that jumps by days{how}", "nothing", "what was not done")
