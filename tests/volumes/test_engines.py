"""One plan, the same bits: from this process, from others, and from workers of a real dask scheduler."""

import json
import os
import time
from pathlib import Path

import distributed
import pytest
from support import gated, toy_chain
from support.bitwise import assert_bitwise_equal
from support.dask_processes import Certificate, Scheduler, environment_and_threads
from support.drivers import Driver, end

from preimage.errors import RequestError, RunError
from preimage.run_settings import ComputeSettings
from preimage.volumes.driver import Run
from preimage.volumes.engines import environment, processes
from preimage.volumes.engines.attempts import LIMIT, Attempts
from preimage.volumes.engines.cluster import Cluster
from preimage.volumes.engines.inspection import Seen, complaints_about
from preimage.volumes.engines.processes import Processes
from preimage.volumes.engines.workforce import Workforce
from preimage.volumes.markers import Beside
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


def new_folder(path):
    path.mkdir()
    return path


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
    assert list(complaints_about(seen(OMP_WAIT_POLICY="passive"), KNOWN, 2**30)) == []


@pytest.mark.parametrize(
    ("variables", "known", "words"),
    [
        ({"OMP_WAIT_POLICY": "PASSIVE", "MALLOC_TRIM_THRESHOLD_": "65536"}, {}, "MALLOC_TRIM_THRESHOLD_=65536 doubles"),
        ({}, {}, "OMP_WAIT_POLICY is not PASSIVE"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, {"nthreads": 4}, "start workers with --nthreads 1"),
        (
            {"OMP_WAIT_POLICY": "PASSIVE"},
            {"memory_limit": 2**29},
            "it may use 512 MiB, less than",
        ),
    ],
)
def test_what_makes_workers_slow_or_ends_them_is_said_with_its_cure(variables, known, words):
    (said,) = complaints_about(seen(**variables), {**KNOWN, **known}, 2**30)
    assert words in said


# --- GPUs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path):
    """A scheduler of its own, without workers."""
    folder = new_folder(tmp_path / "dask")
    with Scheduler(folder) as started:
        yield started


@pytest.fixture
def held(folder, tmp_path):
    """Runs on a cluster in a process of its own, and holds blocks at a gate until the test opens it."""
    drivers = []

    def start(**compute):
        gate = gated.Gate(tmp_path / "gate")
        gate.let_pass(0)
        recipe = gated.recipe(folder / "in.zarr", tmp_path / "out.zarr", gate.folder, probe=False, **compute)
        drivers.append(Driver(recipe, tmp_path / f"driver-{len(drivers)}.log"))
        return drivers[-1], gate

    yield start
    for driver in drivers:
        end(driver.process)


def busy(cluster):
    """How many tasks each worker does at this moment."""
    return {name: doing for name, (doing, _, _) in cluster.employment().items()}


def held_blocks(tmp_path, n):
    """Whether so many blocks are held at the gate, with their states saved."""
    return lambda: len(list((tmp_path / "out.zarr.blocks" / "1").glob("*.state.safetensors"))) == n


@pytest.mark.parametrize("options", [("--resources", "GPU=1"), ()], ids=["GPU", "none"])
def test_one_block_at_a_time_on_each_worker_whatever_its_threads(folder, tmp_path, cluster, held, options):
    """By the resource of the GPU, and without it by that of the run."""
    cluster.add_workers(2, "--nthreads", "4", *options)
    driver, gate = held(scheduler=cluster.address)
    driver.until(held_blocks(tmp_path, 2), "a block on each worker")
    time.sleep(1)
    assert busy(cluster) == {"worker-1": 1, "worker-2": 1}
    assert sum(given for _, given, _ in cluster.employment().values()) > 2  # the others wait
    assert held_blocks(tmp_path, 2)()
    gate.open()
    driver.wait()
    assert_bitwise_equal(tmp_path / "out.zarr", folder / "serial.zarr")


def test_a_worker_without_a_gpu_that_comes_to_some_with_one_gets_no_block(folder, tmp_path, cluster, held):
    cluster.add_workers(1, "--resources", "GPU=1")
    driver, gate = held(scheduler=cluster.address)
    driver.until(held_blocks(tmp_path, 1), "a block")
    cluster.add_workers(1)
    driver.until(lambda: "is left out: offers no GPU: start it with --resources GPU=1" in driver.said, "word of it")
    gate.open()
    driver.wait()
    assert [bool(run) for _, _, run in (cluster.employment()[f"worker-{i}"] for i in (1, 2))] == [True, False]
    assert_bitwise_equal(tmp_path / "out.zarr", folder / "serial.zarr")


def test_workers_of_which_not_all_have_a_gpu_all_get_blocks(folder, tmp_path, cluster, held):
    cluster.add_workers(1, "--resources", "GPU=1")
    cluster.add_workers(1)
    driver, gate = held(scheduler=cluster.address)
    driver.until(held_blocks(tmp_path, 2), "a block on each worker")
    assert busy(cluster) == {"worker-1": 1, "worker-2": 1}
    gate.open()
    driver.wait()


def test_a_run_on_gpus_where_no_worker_has_one(folder, cluster):
    cluster.add_workers(1)
    match = r'compute.device = "cuda" is not the same on all workers \(tcp://127.0.0.1:\d+: none\): name one that'
    with pytest.raises(RequestError, match=match):
        run(folder, "refused.zarr", scheduler=cluster.address, device="cuda").execute()


def test_the_device_is_that_of_all_workers():
    force = Workforce(None, Progress(), 0, str)
    both = {"auto": "cuda:0", "cpu": "cpu", "cuda": "cuda:0"}
    force.seen = {name: Seen({}, both, {}) for name in "ab"}
    assert force.device("auto") == "cuda:0"
    force.seen["b"] = Seen({}, {"auto": "cpu", "cpu": "cpu"}, {})
    assert force.device("cpu") == "cpu"
    with pytest.raises(RequestError, match=r'"auto" is not the same on all workers \(a: cuda:0; b: cpu\): name one'):
        force.device("auto")
    with pytest.raises(RequestError, match=r"a: cuda:0; b: none"):
        force.device("cuda")


def test_a_worker_that_comes_later_must_have_the_device_of_the_others():
    force = Workforce(None, Progress(), 0, str)
    force.seen = {"a": Seen({}, {"auto": "cuda:0"}, {})}
    force.device("auto")
    force.connected = dict.fromkeys("abc", KNOWN)
    force.seen |= {"b": Seen({}, {"auto": "cpu"}, {}), "c": Seen({}, {"auto": "cuda:0"}, {})}
    assert force._misplaced("c") is None
    assert str(force._misplaced("b")) == 'the worker b has cpu as compute.device = "auto", the others cuda:0'


# --- schedulers and workers that cannot do a run ---------------------------------------------------------------------


def test_a_scheduler_that_is_gone_between_two_stages_is_one_clear_error(tmp_path, scheduler):
    compute = ComputeSettings(scheduler=scheduler.address)
    with Cluster(compute, lambda: False, Told()) as engine:
        engine.open(tmp_path / "out.zarr", "a run", "nobody:builds", None)
        engine.client.close()
        with pytest.raises(RunError, match=f"the scheduler at {scheduler.address} is gone. Finished blocks are kept"):
            list(engine.run(tasks(1)))


def test_a_run_that_no_worker_may_read_the_data_of_ends_and_says_so(folder, cluster):
    cluster.add_workers(1, TOY_FORBIDS="1")
    why = r"a worker cannot make the parts of the run: PermissionError: .*Permission denied: 'in.zarr'"
    with pytest.raises(RunError, match=why):
        run(folder, "forbidden.zarr", scheduler=cluster.address, stall=120.0).execute()


# --- trying again --------------------------------------------------------------------------------------------------


def test_a_task_is_tried_three_times_and_each_task_for_itself(tmp_path):
    told = Told()
    attempts = Attempts(told, Beside(tmp_path / "out.zarr"))
    first, second = Task("block", 1, 0), Task("block", 1, 1)
    for _ in range(LIMIT - 1):
        attempts.failed(first, "the disk did not answer")
        attempts.failed(second, "its worker died")
    assert len(told.failures) == 2 * (LIMIT - 1)
    assert told.failures[0] == "block 0 of stage 2: the disk did not answer"
    with pytest.raises(RunError, match="block 0 of stage 2 failed 3 times, the last: again. Finished blocks are kept"):
        attempts.failed(first, "again")


@pytest.fixture
def save(tmp_path):
    """Saves the n-th state of block 0 of the second stage."""

    def save(n):
        path = Beside(tmp_path / "out.zarr").state(1, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, ns=(n, n))

    return save


def test_a_task_that_gets_further_each_time_is_tried_again_for_ever_and_one_that_does_not_is_not(tmp_path, save):
    attempts, task = Attempts(Told(), Beside(tmp_path / "out.zarr")), Task("block", 1, 0)
    attempts.failed(task, "its worker died")
    for saved in (1, 1, 2, 2, 3, 4, 4):
        save(saved)
        attempts.failed(task, "its worker died")
    with pytest.raises(RunError, match="block 0 of stage 2 failed 3 times"):
        attempts.failed(task, "its worker died")


def test_a_fit_is_not_told_by_the_state_of_the_block_of_its_number(tmp_path, save):
    attempts, task = Attempts(Told(), Beside(tmp_path / "out.zarr")), Task("fit", 1, 0)
    for saved in range(LIMIT - 1):
        save(saved)
        attempts.failed(task, "its worker died")
    save(LIMIT)
    with pytest.raises(RunError, match="the fit of preparation 0 of stage 2 failed 3 times"):
        attempts.failed(task, "its worker died")


class Scripted(Processes):
    """Processes that answer as a test says, and are none."""

    def __init__(self, answers, output=Path("out.zarr"), workers=2):
        super().__init__(ComputeSettings(workers=workers), lambda: False, Told())
        self.open(output, "a run", "nobody:builds", None)
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


def tasks(n, stage=0):
    return [Task("block", stage, index) for index in range(n)]


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


def test_workers_that_die_at_a_block_which_saves_a_state_in_between_do_not_end_the_run(tmp_path, save):
    def deaths(further):
        for number in range(2 * LIMIT):
            save(number if further else 0)
            yield DEAD
        yield DONE

    def scripted(further):
        return Scripted({0: deaths(further)}, tmp_path / "out.zarr").run(tasks(1, stage=1))

    assert list(scripted(further=True)) == [DONE]
    with pytest.raises(RunError, match="block 0 of stage 2 failed 3 times, the last: it was killed"):
        list(scripted(further=False))


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
