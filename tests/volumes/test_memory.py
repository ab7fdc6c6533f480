"""What a process that does blocks does with its memory."""

import ctypes
import subprocess
import sys

import pytest

PAGE = 4096
MEGABYTES = 24
"""Of an array; together they are above what glibc keeps by itself, 64 MiB at most."""
N = 4
SCRIPT = f"""
import resource, sys
from preimage.volumes.memory import held, keep_heap, release_heap

if sys.argv[1] == "keep":
    keep_heap()
def take_and_free():
    [b"x" * ({MEGABYTES} * 2**20) for _ in range({N})]

take_and_free()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
take_and_free()
take_and_free()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
kept = held()
release_heap()
print(kept - held())
"""


def pages_and_released(how: str) -> list[int]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_arrays_that_are_made_again_take_no_new_pages_and_go_back_to_the_system_at_the_end() -> None:
    arrays = N * MEGABYTES * 2**20
    pages, released = pages_and_released("keep")
    assert pages < arrays / PAGE / 10
    assert released > arrays / 2
    pages, _ = pages_and_released("as it is")
    assert pages > arrays / PAGE  # the control: without, at least one of the two times
