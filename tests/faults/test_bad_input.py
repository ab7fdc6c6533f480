"""Bad input: one clear error for each, finished blocks are kept, and the run goes on once that is mended."""

import json
import shutil
import socket
from dataclasses import replace

import pytest
from support import toy_chain
from support.bitwise import computed

from preimage.errors import RequestError, RunError
from preimage.volumes import stores
from preimage.volumes.engines import connecting, inspection
from preimage.volumes.progress import Progress


@pytest.fixture
def begun(case):
    """A run of which two blocks are done, and the third was stopped."""
    case.interrupted(done=2)
    return case


@pytest.fixture
def fails_and_goes_on(begun, survived):
    """Checks that the run fails with an error, keeps what is done, and goes on without what was wrong."""

    def check(fault, error, match, **compute):
        before = begun.marked()
        with pytest.raises(error, match=match):
            begun.run(**compute).execute()
        assert begun.marked() == before
        begun.gate.open()
        begun.run().execute()
        assert computed(before, begun.marked()) == [(1, block) for block in range(2, 6)]
        survived(begun, fault, "nothing: a clear error", "4 that were not done")

    return check


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(connecting, "CONNECT", 1.0)


# --- schedulers ----------------------------------------------------------------------------------------------------


def test_a_scheduler_that_is_not_there(fails_and_goes_on, impatient):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    fails_and_goes_on(
        "a scheduler that is not there",
        RequestError,
        f"compute.scheduler: no scheduler answers at {address}: start one by `dask scheduler`",
        scheduler=address,
    )


def test_something_else_at_the_address_of_a_scheduler(fails_and_goes_on, impatient):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        fails_and_goes_on("no scheduler at that address", RequestError, "no scheduler answers", scheduler=address)


@pytest.mark.parametrize(
    "address", ["tcp://192.0.2.1:8786", "tcp://localhost.example.org:8786", "tcp://127.example.org:8786"]
)
def test_another_machine_in_the_clear(begun, address):
    with pytest.raises(RequestError, match="is another machine, in the clear: .* Use tls://, or say compute.insecure"):
        begun.run(scheduler=address).execute()


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}"])
def test_a_file_that_no_scheduler_wrote(begun, tmp_path, content):
    path = tmp_path / "scheduler.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RequestError, match="is not what `dask scheduler --scheduler-file` writes"):
        begun.run(scheduler_file=str(path)).execute()


@pytest.mark.faults
def test_a_scheduler_of_another_version(fails_and_goes_on, scheduler, monkeypatch):
    monkeypatch.setattr(connecting, "version", lambda name: "2000.1.0")
    match = r"the scheduler at .* runs distributed 20\S+, this process 2000.1.0: install the same versions everywhere"
    fails_and_goes_on("a scheduler of another version", RequestError, match, scheduler=scheduler.address)


@pytest.mark.faults
def test_a_scheduler_without_workers(fails_and_goes_on, scheduler):
    match = "has no workers: start some by `dask worker"
    fails_and_goes_on("a scheduler without workers", RequestError, match, scheduler=scheduler.address, stall=1)


# --- workers -------------------------------------------------------------------------------------------------------

OTHER = "has other methods installed than the run was planned with: operator rows: lab-rows 1.0, here lab-rows 2.0"
LACKING = "a worker cannot make the parts of the run: operator 'rows' is not installed. Install the same methods"


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "value", "match"), [("TOY_VERSION", "2.0", OTHER), ("TOY_LACKS", "1", LACKING)], ids=["other", "without"]
)
def test_a_worker_process_with_other_plugins(begun, survived, monkeypatch, name, value, match):
    run = begun.run(workers=2)
    before = begun.marked()
    with monkeypatch.context() as context:
        context.setenv(name, value)
        with pytest.raises(RunError, match=match):
            run.execute()
    assert begun.marked() == before
    begun.gate.open()
    begun.run().execute()
    what = "without a plugin" if name == "TOY_LACKS" else "with another version of a plugin"
    survived(begun, f"a worker process {what}", "nothing: a clear error", "4 that were not done")


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "value", "match"), [("TOY_VERSION", "2.0", OTHER), ("TOY_LACKS", "1", LACKING)], ids=["other", "without"]
)
def test_a_dask_worker_with_other_plugins(fails_and_goes_on, scheduler, name, value, match):
    scheduler.add_workers(1, **{name: value})
    what = "without a plugin" if name == "TOY_LACKS" else "with another version of a plugin"
    fails_and_goes_on(f"a dask worker {what}", RunError, match, scheduler=scheduler.address)


@pytest.mark.faults
def test_a_dask_worker_without_preimage(fails_and_goes_on, scheduler, tmp_path):
    (tmp_path / "preimage").mkdir()
    (tmp_path / "preimage" / "__init__.py").touch()  # in the way of the real one
    scheduler.add_workers(1, PYTHONPATH=str(tmp_path))
    match = "a worker lacks what this process has .*: install preimage and the same plugins on every worker"
    fails_and_goes_on("a dask worker without preimage", RequestError, match, scheduler=scheduler.address)


@pytest.mark.faults
def test_a_dask_worker_with_another_version_of_a_library(fails_and_goes_on, scheduler, monkeypatch):
    scheduler.add_workers(1)
    mine = inspection._versions() | {"torch": "1.0"}
    monkeypatch.setattr(inspection, "_versions", lambda: mine)
    match = r"the worker tcp://\S+ has torch 2\S+, this process 1.0: install the same versions everywhere"
    fails_and_goes_on("a dask worker with another torch", RequestError, match, scheduler=scheduler.address)


# --- data ----------------------------------------------------------------------------------------------------------


def damage(path):
    raw = bytearray(path.read_bytes())
    raw[-10] ^= 4
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        ("is missing", r"the chunk c/0/1 of 'measurement' is gone from .*large.zarr, in which all were written: copy"),
        ("is damaged", "the values of 'measurement' could not be read, the file is damaged or gone: .*checksum"),
    ],
)
def test_a_chunk_of_the_dataset(case, survived, tmp_path, fault, match):
    case = replace(case, source=tmp_path / "large.zarr")
    stores.write_dataset(toy_chain.example(), case.source, chunks={"m": 2})
    chunk = case.source / "measurement" / "c" / "0" / "1"
    kept = chunk.read_bytes()

    class Damage(Progress):
        def finished_block(self, record, facts):
            if (facts["stage"], facts["block"]) == (0, 0):
                chunk.unlink() if fault == "is missing" else damage(chunk)

    case.gate.open()
    with pytest.raises(RunError, match=match):
        case.run(Damage()).execute()
    before = case.marked()
    assert list(before) == [(0, 0)]
    with pytest.raises(RunError, match=match):
        case.run().execute()
    chunk.write_bytes(kept)  # as from a backup, with another time of change
    case.run().execute()
    assert (0, 0) not in computed(before, case.marked())
    survived(case, f"a chunk of the dataset {fault}", "nothing: a clear error", "all but block 0 of stage 1")


def test_a_dataset_that_lacks_a_chunk_is_refused_before_anything_is_computed(case, survived, tmp_path):
    case = replace(case, source=tmp_path / "large.zarr")
    stores.write_dataset(toy_chain.example(), case.source, chunks={"m": 2})
    chunk = case.source / "measurement" / "c" / "0" / "1"
    chunk.rename(tmp_path / "elsewhere")
    case.gate.open()
    with pytest.raises(RunError, match="the chunk c/0/1 of 'measurement' is gone from .*: copy or write that store"):
        case.run().execute()
    assert not case.output.exists()
    shutil.copy(tmp_path / "elsewhere", chunk)
    case.run().execute()
    survived(case, "a chunk of the dataset is missing from the beginning", "nothing: a clear error", "all")


def test_a_store_that_others_wrote_may_lack_chunks(tmp_path):
    toy_chain.example().to_zarr(tmp_path / "theirs.zarr", zarr_format=3, consolidated=False)
    (tmp_path / "theirs.zarr" / "truth" / "c" / "0" / "0").unlink()
    assert stores.open_dataset(tmp_path / "theirs.zarr")["truth"].values.size  # fill values, as Zarr has it


def test_a_budget_below_one_slice(begun, survived):
    before = begun.marked()
    with pytest.raises(RequestError, match=r"compute.memory = 100 MiB is too little"):
        begun.run(memory="100 MiB")
    assert begun.marked() == before
    begun.gate.open()
    begun.run().execute()
    survived(begun, "a budget below one slice", "nothing: a clear error", "4 that were not done")


@pytest.mark.parametrize("fresh", [False, True])
def test_a_run_store_of_a_newer_schema(begun, survived, fresh):
    before = begun.marked()
    metadata = begun.output / "zarr.json"
    kept = metadata.read_text()
    newer = json.loads(kept)
    newer["attributes"]["preimage"]["schema"] = 99
    metadata.write_text(json.dumps(newer))
    with pytest.raises(RequestError, match=r"out.zarr has schema 99, this version reads up to 1: update preimage"):
        begun.run().execute(fresh=fresh)
    assert begun.marked() == before
    metadata.write_text(kept)
    begun.gate.open()
    begun.run().execute()
    fault = "a run store of a newer schema" + (", with --fresh" if fresh else "")
    survived(begun, fault, "nothing: a clear error", "4 that were not done")


def test_a_dataset_of_a_newer_schema(case, tmp_path):
    stores.write_dataset(toy_chain.example(), tmp_path / "in.zarr")
    metadata = tmp_path / "in.zarr" / "zarr.json"
    newer = json.loads(metadata.read_text())
    newer["attributes"]["preimage"]["schema"] = 99
    metadata.write_text(json.dumps(newer))
    with pytest.raises(RequestError, match=r"in.zarr has schema 99, this version reads up to 1: update preimage"):
        replace(case, source=tmp_path / "in.zarr").run()
