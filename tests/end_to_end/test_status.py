"""How far a run is, told to another shell."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import xarray as xr
from rich.progress import Progress as Bars
from support.terminal import shown_at_a_terminal

import preimage
from preimage.volumes.lease import Lease
from preimage.volumes.markers import Beside
from preimage_registry.cli.watching import Terminal

PREIMAGE = str(Path(sys.executable).with_name("preimage"))
MAIN = "from preimage_registry.cli import main"
HEEDING = f"import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); {MAIN}; sys.exit(main())"
"""The command where Ctrl-C works: a shell's background jobs ignore it, and so would what they start."""
ENDLESS = ("--set", "solver.max_iter=100000000")


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lease_path(folder):
    return Beside(folder / "out.zarr").lease


def change_lease(folder, **changes):
    path = lease_path(folder)
    path.write_text(json.dumps(asdict(replace(Lease.read(path), **changes))))


@pytest.fixture
def running(scan):
    """A shell beside which a run is in work that does not end by itself, in its second stage or later."""
    begin = [PREIMAGE, "run", "scan.toml", *ENDLESS, "--set", "compute.checkpoint=0.1 s"]
    process = subprocess.Popen(begin, cwd=scan.folder, stderr=subprocess.PIPE, text=True)
    solves = Beside(scan.folder / "out.zarr").folder
    until(lambda: list(solves.glob("*/0.state.safetensors")))
    scan.process = process
    yield scan
    process.kill()
    process.communicate()


def watch(folder, *options):
    command = [sys.executable, "-c", HEEDING, "status", "out.zarr", "--watch", *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_run_in_work_is_followed_until_it_is_killed(running):
    said = running("status", "out.zarr")
    assert said.startswith(f"out.zarr: running, process {running.process.pid} on ")
    assert "fista" in said
    assert "0 of 3" in said
    assert "of 4 GiB" in said
    found = json.loads(running("status", "out.zarr", "--json"))
    assert (found["state"], found["alive"], found["total"] - found["done"]) == ("running", True, 3)
    assert found["lease"]["pid"] == running.process.pid
    until(lambda: (lease := Lease.read(lease_path(running.folder))).iterations and lease.block_seconds)
    found = json.loads(running("status", "out.zarr", "--json"))
    assert found["done"] < found["total"] - 2  # within the first block
    ((iteration, most),) = found["lease"]["iterations"]
    assert 0 < iteration < most == 100_000_000
    assert found["remaining_seconds"] > 60
    assert re.search(r"fista, iteration \d+ of 100000000, about .* left", running("status", "out.zarr"))
    watching = watch(running.folder, "--json")
    first = json.loads(watching.stdout.readline())
    running.process.kill()
    running.process.wait()
    rest = [json.loads(line) for line in watching.communicate(timeout=60)[0].splitlines()]
    assert (first["state"], rest[-1]["state"], watching.returncode) == ("running", "killed", 1)
    assert "out.zarr: killed: its process is gone without a word" in running("status", "out.zarr")
    assert not json.loads(running("status", "out.zarr", "--json"))["alive"]


def test_who_stops_watching_stops_no_run(running):
    watching = watch(running.folder)
    watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=60)
    assert (watching.returncode, said) == (130, "preimage: stopped watching; the run goes on\n")
    assert running.process.poll() is None
    change_lease(running.folder, clock=time.monotonic() - 1000)  # as if it had been suspended for so long
    assert "out.zarr: silent" in running("status", "out.zarr")
    running.process.send_signal(signal.SIGINT)
    running.process.wait(60)
    assert "out.zarr: stopped" in running("status", "out.zarr")


def test_workers_are_counted_and_their_failures_told_here_and_there(scan):
    begin = [PREIMAGE, "run", "scan.toml", *ENDLESS, "--set", "compute.workers=2", "--set", "compute.checkpoint=0.1 s"]
    process = subprocess.Popen(begin, cwd=scan.folder, stderr=subprocess.PIPE, text=True)
    folder = Beside(scan.folder / "out.zarr").folder
    try:
        until(lambda: len(list(folder.glob("*/[0-9].state.safetensors"))) == 2)
        assert "workers: 2" in scan("status", "out.zarr")
        psutil.Process(process.pid).children()[0].kill()
        until(lambda: Lease.read(folder / "lease.json").failures)
        said = scan("status", "out.zarr")
        assert "failures: 1, the last: block " in said
        assert "its worker process was killed by SIGKILL" in said
        process.send_signal(signal.SIGINT)
        assert "tried again: block " in process.communicate(timeout=120)[1]
        assert process.returncode == 130
    finally:
        process.kill()
        process.communicate()
    assert "stopped" in scan("status", "out.zarr")


def test_failures_are_counted_and_told(scan):
    broken = xr.Dataset({"truth": (("x", "z", "y"), np.full((6, 12, 10), np.nan, np.float32))})
    preimage.write_dataset(broken, scan.folder / "data.zarr", overwrite=True)
    for _ in range(2):
        scan("run", "scan.toml", code=1)
    said = scan("status", "out.zarr")
    assert "out.zarr: failed" in said
    assert "failures: 2, the last: the measurement has" in said


def test_a_finished_run_is_done(scan):
    scan("run", "scan.toml")
    said = scan("status", "out.zarr")
    assert "out.zarr: finished: all is stored" in said
    assert "3 of 3" in said
    found = json.loads(scan("status", "out.zarr", "--json"))
    assert (found["state"], found["alive"], found["stage"]) == ("finished", False, None)
    assert found["done"] == found["total"]
    assert all(stage["block_seconds"] > 0 for stage in found["stages"])


def test_the_time_that_is_left_follows_from_the_rate(scan):
    scan("run", "scan.toml")
    unfinish(scan.folder)
    label = json.loads(scan("status", "out.zarr", "--json"))["stages"][-1]["label"]
    change_lease(
        scan.folder, state="running", label=label, block_seconds=30.0, since=10.0, clock=time.monotonic(), total=3
    )
    assert json.loads(scan("status", "out.zarr", "--json"))["remaining_seconds"] == 50.0  # two blocks, less ten seconds
    assert "about 50.0 s left" in scan("status", "out.zarr")


def test_what_is_done_of_the_blocks_in_work_is_not_left(scan):
    scan("run", "scan.toml")
    unfinish(scan.folder)
    label = json.loads(scan("status", "out.zarr", "--json"))["stages"][-1]["label"]
    known = {"state": "running", "label": label, "since": 5.0, "clock": time.monotonic()}
    change_lease(scan.folder, **known, block_seconds=40.0, iterations=[[250, 500]])
    assert "fista, iteration 250 of 500, about 55.0 s left" in scan(
        "status", "out.zarr"
    )  # of two blocks a half is done
    change_lease(scan.folder, **known, block_seconds=None, iterations=[[1, 500], [3, 500]])
    assert "fista, iterations 1 to 3 of 500, about" in scan("status", "out.zarr")  # by the block before


def test_a_bar_moves_within_a_block():
    bars = Bars()
    terminal = Terminal(bars)
    terminal.working("fista", 0, 3)
    terminal.stepped(0, 5, 10)
    assert bars.tasks[0].completed == 0.5
    terminal.finished_block({}, {"block": 0})
    terminal.working("fista", 1, 3)
    assert bars.tasks[0].completed == 1
    terminal.stepped(1, 5, 10)
    terminal.working("another", 0, 2)
    assert [task.completed for task in bars.tasks] == [1.5, 0]


def test_blocks_of_an_earlier_attempt_tell_the_rate_too_shared_by_the_workers(scan):
    scan("run", "scan.toml")
    unfinish(scan.folder)
    found = json.loads(scan("status", "out.zarr", "--json"))
    change_lease(scan.folder, state="running", label="", workers=2, clock=time.monotonic())
    remaining = json.loads(scan("status", "out.zarr", "--json"))["remaining_seconds"]
    assert remaining == pytest.approx(found["stages"][-1]["block_seconds"])  # two blocks, one for each worker


def unfinish(folder):
    """As it was before the last two blocks were done."""
    metadata = folder / "out.zarr" / "zarr.json"
    group = json.loads(metadata.read_text())
    del group["attributes"]["preimage"]["finished"]
    metadata.write_text(json.dumps(group))
    stage = len(group["attributes"]["preimage"]["plan"]["stages"]) - 1
    for block in (1, 2):
        Beside(folder / "out.zarr").marker(stage, block).unlink()


def test_on_another_machine_only_the_beats_tell(scan):
    scan("run", "scan.toml")
    unfinish(scan.folder)
    change_lease(scan.folder, state="running", place="elsewhere", period=0.2)
    started = time.monotonic()
    assert "out.zarr: silent" in scan("status", "out.zarr")
    assert time.monotonic() - started >= 0.6  # three periods of the other's
    beating = subprocess.Popen([sys.executable, "-c", BEAT, str(lease_path(scan.folder))])
    try:
        until(lambda: Lease.read(lease_path(scan.folder)).beat > 1000)
        assert "out.zarr: running" in scan("status", "out.zarr")
    finally:
        beating.kill()
        beating.wait()


BEAT = """
import json, sys, time
from pathlib import Path
from preimage.files import write_atomically

path = Path(sys.argv[1])
lease = json.loads(path.read_text()) | {"beat": 1000}
while True:
    lease["beat"] += 1
    write_atomically(path, json.dumps(lease))
    time.sleep(0.02)
"""


def test_watching_follows_to_the_end(scan):
    scan("run", "scan.toml")
    watched = subprocess.run(
        [PREIMAGE, "status", "out.zarr", "--watch"], cwd=scan.folder, capture_output=True, text=True
    )
    assert (watched.returncode, watched.stderr) == (0, "")
    assert watched.stdout.startswith("finished: ")
    unfinish(scan.folder)
    change_lease(scan.folder, state="stopped")
    assert "stopped: " in scan("status", "out.zarr", "--watch", code=1)


def test_it_is_told_in_one_place_at_a_terminal(scan):
    scan("run", "scan.toml")
    shown = shown_at_a_terminal([PREIMAGE, "status", "out.zarr", "--watch"], scan.folder)
    assert "finished" in shown


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere.zarr", "nowhere.zarr does not exist: name the store of a run"),
        ("data.zarr", "data.zarr is a dataset and not the store of a run"),
        (".", "is not a Zarr group"),
    ],
)
def test_what_is_no_run_is_one_clear_error(scan, path, words):
    assert words in scan("status", path, code=2)


def test_torch_is_not_imported(scan):
    scan("run", "scan.toml")
    code = f"{MAIN}; main(['status', 'out.zarr']); import sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=scan.folder, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
