"""One plan, the same bits: from this process, from others, and from workers of a real dask scheduler."""

import json
from pathlib import Path

import distributed
import pytest
from support import gated, toy_chain
from support.bitwise import assert_bitwise_equal
from support.dask_processes import Certificate, Scheduler, environment_and_threads

from preimage.errors import RequestError, RunError
from preimage.run_settings import ComputeSettings
from preimage.volumes.driver import Run
from preimage.volumes.engines import environment, processes
from preimage.volumes.engines.attempts import LIMIT, Attempts
from preimage.volumes.engines.cluster import Cluster
from preimage.volumes.engines.inspection import Seen, complaints_about
from preimage.volumes.engines.processes import Processes
from preimage.volumes.progress import Progress
from preimage.volumes.stores import read_attributes, write_dataset
from preimage.volumes.tasks.task import Task


class Told(Progress):
    """Keeps what it is told."""

    def __init__(self):
        self.notes, self.failures, self.workers = [], [], []

    def noted(self, message):
        self.notes.append(message)

    def failed(self, message):
        self.failures.append(message)

    def employed(self, workers):
        self.workers.append(workers)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a dataset, an open gate, and a run of it in this process."""
    folder = tmp_path_factory.mktemp("engines")
    write_dataset(toy_chain.example(), folder / "in.zarr")
    gated.Gate(folder / "gate").open()
    run(folder, "serial.zarr").execute()
    return folder


def run(folder, name, progress=None, **compute):
    recipe = gated.recipe(folder / "in.zarr", folder / name, folder / "gate", **compute)
    return Run(gated.build(recipe), "support.gated:build", recipe, progress or Progress())


@pytest.fixture(autouse=True)
def toys_are_found(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """A scheduler with two workers: one of a nanny that heeds the cure of what is wrong with it, one bare."""
    with Scheduler(tmp_path_factory.mktemp("dask")) as started:
        cure = "{'MALLOC_TRIM_THRESHOLD_': None}"
        started.add_workers(1, nanny=True, DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON=cure)
        started.add_workers(1)
        yield started


WANTED = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "OMP_NUM_THREADS": "1", "MALLOC_TRIM_THRESHOLD_": None}
"""The environment of a worker; with another, torch is up to several times slower."""


def same(folder, name):
    assert_bitwise_equal(folder / name, folder / "serial.zarr")
    assert read_attributes(folder / name)["plan"] == read_attributes(folder / "serial.zarr")["plan"]


# --- the same result -----------------------------------------------------------------------------------------------


def test_two_processes(folder, monkeypatch):
    """They have the environment that torch wants, whatever that of the driver is."""
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    give, environments, told = processes._Child.give, [], Told()

    def look(child, task):
        environments.append(Path(f"/proc/{child.process.pid}/environ").read_bytes().decode().split("\0"))
        give(child, task)

    monkeypatch.setattr(processes._Child, "give", look)
    run(folder, "processes.zarr", told, workers=2).execute()
    same(folder, "processes.zarr")
    assert (told.workers, told.failures) == ([2], [])
    for pairs in environments:
        variables = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        assert {name: variables.get(name) for name in WANTED} == WANTED
    assert environment.worker_environment(2)["OMP_NUM_THREADS"] == "2"


def test_a_scheduler_by_its_address(folder, scheduler):
    told = Told()
    run(folder, "address.zarr", told, scheduler=scheduler.address).execute()
    same(folder, "address.zarr")
    assert told.workers[0] in (1, 2)  # the second may have come a little later
    assert (told.notes, told.failures) == ([], [])


def test_a_scheduler_by_its_file(folder, scheduler):
    run(folder, "file.zarr", scheduler_file=str(scheduler.file)).execute()
    same(folder, "file.zarr")


def test_tls(folder, tmp_path):
    """The scheduler and its workers refuse who has no certificate of theirs, and so do we."""
    mine, other = (Certificate.make(new_folder(tmp_path / name)) for name in ("mine", "other"))
    with Scheduler(tmp_path, tls=mine) as started:
        assert started.address.startswith("tls://127.0.0.1:")
        started.add_workers(1)
        run(folder, "tls.zarr", scheduler=started.address, tls=mine.settings).execute()
        same(folder, "tls.zarr")
        for who in (other.settings, None):
            with pytest.raises(RequestError, match="certificates"):
                run(folder, "refused.zarr", scheduler=started.address, tls=who).execute()
    assert not (folder / "refused.zarr").exists()


def new_folder(path):
    path.mkdir()
    return path


def test_certificates_that_are_not_there(folder, tmp_path):
    gone = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}
    with pytest.raises(RequestError, match=r"compute.tls.ca: there is no file .*ca.pem"):
        run(folder, "refused.zarr", scheduler="tls://127.0.0.1:9", tls=gone).execute()


# --- the environment of workers ------------------------------------------------------------------------------------


def test_dask_workers_have_the_environment_that_torch_wants(folder, scheduler):
    """Also behind a nanny, which would set MALLOC_TRIM_THRESHOLD_, by the cure that the complaint names."""
    run(folder, "environment.zarr", scheduler=scheduler.address).execute()
    with distributed.Client(scheduler.address, set_as_default=False) as client:
        found = client.run(environment_and_threads, list(WANTED))
    assert list(found.values()) == [(WANTED, 1)] * 2


def seen(**variables):
    return Seen(variables, {"cpu": "cpu"}, {})


KNOWN = {"nthreads": 1, "memory_limit": 0, "resources": {}}


def test_a_worker_of_the_environment_that_torch_wants_is_no_complaint():
    assert list(complaints_about({"a": seen(OMP_WAIT_POLICY="passive")}, {"a": KNOWN}, 2**30)) == []


@pytest.mark.parametrize(
    ("variables", "known", "words"),
    [
        ({"OMP_WAIT_POLICY": "PASSIVE", "MALLOC_TRIM_THRESHOLD_": "65536"}, {}, "MALLOC_TRIM_THRESHOLD_=65536 doubles"),
        ({}, {}, "OMP_WAIT_POLICY is not PASSIVE"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, {"nthreads": 4}, "start workers with --nthreads 1"),
        (
            {"OMP_WAIT_POLICY": "PASSIVE"},
            {"memory_limit": 2**29},
            "a worker may use 512 MiB, less than",
        ),
    ],
)
def test_what_makes_workers_slow_or_ends_them_is_said_with_its_cure(variables, known, words):
    (said,) = complaints_about({"a": seen(**variables)}, {"a": {**KNOWN, **known}}, 2**30)
    assert words in said


# --- GPUs ----------------------------------------------------------------------------------------------------------


class FakeClient:
    """A client of a scheduler whose workers have the resources that a test gives them."""

    status = "running"

    def __init__(self, **resources):
        self.resources = resources
        self.submitted = []
        self.scheduler = self

    def identity(self, n_workers):
        assert n_workers == -1
        return {"workers": {name: {**KNOWN, "resources": found} for name, found in self.resources.items()}}

    def sync(self, function, **arguments):
        return function(**arguments)

    def submit(self, function, *arguments, **options):
        self.submitted.append(options["resources"])

    def get_scheduler_logs(self, n):
        return [("INFO", "the last")]


def engine(stall=300.0, progress=None, **resources):
    found = Cluster(ComputeSettings(scheduler="tcp://127.0.0.1:9", stall=stall), lambda: False, progress or Progress())
    found.client = FakeClient(**resources)
    found._known = found._workers()
    return found


@pytest.mark.parametrize(
    ("resources", "asked"),
    [
        ({"a": {"GPU": 1.0}, "b": {"GPU": 1.0}}, {"GPU": 1.0}),
        ({"a": {}, "b": {}}, None),
        ({"a": {"GPU": 1.0}, "b": {}}, None),  # the one without would have nothing to do
    ],
)
def test_one_block_a_gpu_where_all_workers_have_one(tmp_path, resources, asked):
    found = engine(**resources)
    found.open(tmp_path / "out.zarr", "run", "support.gated:build", None)
    found._submit(Task("block", 0, 0))
    assert found.client.submitted == [asked]


def test_workers_without_a_gpu_do_not_keep_a_run_waiting_that_needs_one(tmp_path):
    told = Told()
    found = engine(stall=0.001, progress=told, a={"GPU": 1.0})
    found.open(tmp_path / "out.zarr", "run", "support.gated:build", None)
    assert found._look()
    found.client.resources = {"b": {}}
    with pytest.raises(RunError, match=r"no worker is connected .* the last were a \| the last"):
        found._watch(0.0)
    assert told.failures == ["the worker a is gone: others take over what it did"]


def test_the_device_is_that_of_all_workers():
    found = engine(a={}, b={})
    both = {"auto": "cuda:0", "cpu": "cpu", "cuda": "cuda:0"}
    found.seen = {name: Seen({}, both, {}) for name in "ab"}
    assert found.device("auto") == "cuda:0"
    found.seen["b"] = Seen({}, {"auto": "cpu", "cpu": "cpu"}, {})
    assert found.device("cpu") == "cpu"
    with pytest.raises(RequestError, match=r'"auto" is not the same on all workers \(a: cuda:0; b: cpu\): name one'):
        found.device("auto")
    with pytest.raises(RequestError, match=r"a: cuda:0; b: none"):
        found.device("cuda")


# --- trying again --------------------------------------------------------------------------------------------------


def test_a_task_is_tried_three_times_and_each_task_for_itself():
    told = Told()
    attempts = Attempts(told)
    first, second = Task("block", 1, 0), Task("block", 1, 1)
    for _ in range(LIMIT - 1):
        attempts.failed(first, "the disk did not answer")
        attempts.failed(second, "its worker died")
    assert len(told.failures) == 2 * (LIMIT - 1)
    assert told.failures[0] == "block 0 of stage 2: the disk did not answer"
    with pytest.raises(RunError, match="block 0 of stage 2 failed 3 times, the last: again. Finished blocks are kept"):
        attempts.failed(first, "again")


class Scripted(Processes):
    """Processes that answer as a test says, and are none."""

    def __init__(self, answers, workers=2):
        super().__init__(ComputeSettings(workers=workers), lambda: False, Told())
        self.scripted = {index: iter(said) for index, said in answers.items()}

    def _idle(self):
        for child in self._children:
            if child.task is None:
                return child
        self._children.append(ScriptedChild(self))
        return self._children[-1]


class ScriptedChild:
    task = None
    log = "worker-1.log"

    def __init__(self, engine):
        self.engine = engine

    def give(self, task):
        self.task = task
        said = next(self.engine.scripted[task.index])
        self.engine._answers.put((self, json.dumps(said) if said is not None else ""))

    def ask_to_end(self):
        pass

    def end(self, patience):
        pass

    def obituary(self):
        return "it was killed"


def tasks(n):
    return [Task("block", 0, index) for index in range(n)]


DONE, DEAD = {"block": 0}, None
AGAIN = {"error": "OSError", "message": "stale file handle", "again": True}


def test_what_failed_by_a_disk_or_a_death_is_tried_again():
    scripted = Scripted({0: [AGAIN, DEAD, DONE], 1: [DONE], 2: [DEAD, DONE]})
    assert len(list(scripted.run(tasks(3)))) == 3
    assert sorted(scripted.progress.failures) == [
        "block 0 of stage 1: it was killed",
        "block 0 of stage 1: stale file handle",
        "block 2 of stage 1: it was killed",
    ]


@pytest.mark.parametrize(
    ("said", "kind", "match"),
    [
        ({"error": "RunError", "message": "the disk is full"}, RunError, "^the disk is full$"),
        ({"error": "DataError", "message": "no such variable"}, RequestError, "^no such variable$"),
        ({"error": "IndexError", "message": "7"}, RunError, "block 0 of stage 1: IndexError: 7; see worker-1.log"),
    ],
)
def test_what_would_fail_again_is_not_tried_again(said, kind, match):
    with pytest.raises(kind, match=match):
        list(Scripted({0: [said]}).run(tasks(1)))


def test_no_more_processes_are_started_than_there_are_tasks():
    scripted = Scripted({0: [DONE]}, workers=8)
    assert list(scripted.run(tasks(1))) == [DONE]
    assert len(scripted._children) == 1
