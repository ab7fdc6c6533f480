"""A finished run that has lost something is repaired, whatever ends the repair in between."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from support import gated
from support.bitwise import assert_bitwise_equal, computed
from support.drivers import ENVIRONMENT, PATIENCE

from preimage.volumes.driver import Run
from preimage.volumes.stores import read_attributes
from preimage_registry.results.status import status_of

REPAIRS = """
import json, os, shutil, signal, sys
from pathlib import Path
from support import gated
from preimage.volumes.driver import Run

CHANGES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
beginning, recipe, folder = json.loads(sys.argv[1])
killed_at = 0

def repair(output, n):
    \"\"\"Go on with a run, and die right before the n-th change of the disk in opening it.\"\"\"
    recipe["output"]["path"] = str(output)
    run, real, count = Run(gated.build(recipe), "support.gated:build", recipe), Run._reopened, None

    def counted(event, arguments):
        nonlocal count
        if count is None or event not in CHANGES or str(output) not in str(arguments[0]):
            return
        if event == "open" and not (isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")):
            return
        count += 1
        if count == n:
            os.kill(os.getpid(), signal.SIGKILL)

    def reopened(*arguments):
        nonlocal count
        count = 0
        try:
            return real(*arguments)
        finally:
            count = None

    Run._reopened = reopened
    sys.addaudithook(counted)
    run.execute()

for n in range(1, 1000):
    output = Path(folder) / f"{n}.zarr"
    for end in ("", ".blocks"):
        shutil.copytree(beginning + end, f"{output}{end}")
    child = os.fork()
    if not child:
        repair(output, n)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        break
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    killed_at = n
print(killed_at)
"""


@pytest.fixture
def finished(case):
    case.gate.open()
    case.run().execute()
    return case


def repaired_in_vain(case, folder):
    """Copies of a run, each with a repair that was killed at another step."""
    folder.mkdir()
    arguments = json.dumps([str(case.output), case.recipe(), str(folder)])
    done = subprocess.run(
        [sys.executable, "-c", REPAIRS, arguments],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [folder / f"{n}.zarr" for n in range(1, int(done.stdout) + 1)]


def test_a_repair_may_be_killed_at_every_step(finished, undisturbed, tmp_path, survived):
    chunk = finished.output / "estimate" / "c" / "4" / "0"
    chunk.unlink()
    copies = repaired_in_vain(finished, tmp_path / "killed")
    assert len(copies) > 10
    ended = set()
    for output in copies:
        if read_attributes(output).get("finished"):  # the repair has changed nothing yet: the look sees what is lost
            assert (output.with_name(output.name + ".blocks") / "1" / "4.json").exists()
        else:
            assert status_of(output).state != "finished"
        ended.add(bool(read_attributes(output).get("finished")))
        recipe = finished.recipe()
        recipe["output"]["path"] = str(output)
        Run(gated.build(recipe), "support.gated:build", recipe).execute()
        assert_bitwise_equal(output, undisturbed / "out.zarr")
    assert ended == {True, False}
    finished.run().execute()
    survived(finished, f"kill -9 at each of {len(copies)} steps of a repair", "block 4", "block 4, and what it reads")


@pytest.mark.parametrize("verify", [False, True], ids=["at a look", "verified"])
def test_a_finished_run_without_a_marker_is_not_done(finished, survived, told, verify):
    before = finished.marked()
    finished.beside.marker(1, 5).unlink()
    assert status_of(finished.output).state == "damaged"
    finished.run(told).execute(verify=verify)
    assert told.notes == ["block 5 of stage 2 is done again: its marker is gone"]
    assert [block for stage, block in computed(before, finished.marked()) if stage == 1] == [5]
    assert status_of(finished.output).state == "finished"
    how = "verified" if verify else "at a look"
    survived(finished, f"a marker of a finished run is gone, {how}", "block 5", "block 5, and what it reads")


def test_scratch_that_was_removed_costs_no_block_of_the_solve(case, survived, told):
    held = case.interrupted(done=3)
    before = case.marked()
    shutil.rmtree(case.beside.folder / "scratch")
    case.gate.open()
    case.run(told).execute()
    assert told.notes == ["stage 1 is done again: what its 3 blocks stored is gone"]
    again = [(0, 0), (0, 1), (0, 2), *((1, block) for block in range(6) if (1, block) not in before)]
    assert computed(before, case.marked()) == again
    survived(case, "scratch is removed", "stage 1", f"stage 1, and 3 that were not done, {held} from its state")
