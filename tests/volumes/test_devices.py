"""Runs on an accelerator: blocks fit its memory and the host's. None is needed here: planning is told of one."""

from types import SimpleNamespace

import pytest
import torch
from support import toy_chain

from preimage.declarations import Memory
from preimage.errors import RequestError, RunError
from preimage.run_settings import ComputeSettings
from preimage.volumes import devices, driver
from preimage.volumes.planning import probing
from preimage.volumes.planning.memory_model import OFF, PROCESS, STAGED, USABLE
from preimage.volumes.planning.plan import ArrayPlan, Plan
from preimage.volumes.planning.probing import Probe, measured_model, worth_probing
from preimage.volumes.stores import ATTRIBUTE, SCHEMA, create_array, create_group, read_attributes
from preimage.volumes.tasks.task import Task, perform

ROWS, M = 2**15, 2**14
DATA = ROWS * M * 8
"""Bytes of a dataset that has headers alone: 4 GiB."""
GPU = 8 * 2**30


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.zarr"
    group = create_group(path, {ATTRIBUTE: {"schema": SCHEMA}})
    create_array(group, "measurement", ArrayPlan(("x", "m"), (ROWS, M), "complex64", (64, M)), compressed=True)
    create_array(group, "matrix", ArrayPlan(("m", "n"), (M, 2), "complex64", (M, 2)), compressed=True)
    return path


@pytest.fixture
def gpu(monkeypatch):
    """Lets this machine have a GPU of 8 GiB, as far as planning asks."""
    monkeypatch.setattr(devices, "choose_device", lambda name: torch.device("cpu" if name == "cpu" else "cuda"))
    monkeypatch.setattr(driver, "choose_device", devices.choose_device)
    monkeypatch.setattr(devices, "memory_of", lambda device: GPU)


def test_what_does_not_differ_on_an_accelerator_need_not_be_said():
    assert Memory(per_input=3).on_device == 3
    assert Memory(per_input=3, device=1).on_device == 1
    assert (Memory(per_input=3, device=1) + Memory(per_input=2)).on_device == 3


def test_of_parts_that_work_one_at_a_time_the_most_counts():
    assert Memory(fixed=5, per_image=1) | Memory(fixed=2, per_input=4) == Memory(fixed=5, per_input=4.0, per_image=1)


def test_a_worker_may_use_all_of_its_gpu_unless_it_is_told_how_much(gpu):
    def memory(**settings):
        return devices.worker_memory(ComputeSettings(**settings))

    assert memory(device="cpu") == memory(device="cpu", device_memory="2 GiB") == 0
    assert memory(device="cuda") == memory(device="auto") == GPU
    assert memory(device="cuda", device_memory="2 GiB") == 2 * 2**30
    cluster = {"scheduler": "tcp://127.0.0.1:8786"}
    assert memory(device="cuda", **cluster) == 0  # nobody knows
    assert memory(device="cuda", device_memory="2 GiB", **cluster) == 2 * 2**30


@pytest.mark.usefixtures("gpu")
def test_workers_that_share_a_gpu_may_not_use_more_than_there_is():
    def memory(workers, device_memory=None, **where):
        return devices.worker_memory(ComputeSettings(workers=workers, device_memory=device_memory, **where))

    assert memory(2, "4 GiB") == GPU / 2
    assert memory(1, "8 GiB") == GPU
    shared = r"compute.workers = 4 share cuda, which has 8 GiB, .* {} of it: give compute.device_memory of 2 GiB at"
    with pytest.raises(RequestError, match=shared.format("8 GiB")):
        memory(4)
    with pytest.raises(RequestError, match=shared.format("3 GiB")):
        memory(4, "3 GiB")
    with pytest.raises(RequestError, match="compute.device_memory = 9 GiB is more than cuda has, 8 GiB"):
        memory(1, "9 GiB")
    assert memory(4, "3 GiB", device="cpu") == 0


def test_a_gpu_is_asked_for_its_memory_without_taking_some_of_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=GPU))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: pytest.fail("it makes a context"))
    assert devices.memory_of(torch.device("cuda")) == GPU


@pytest.mark.usefixtures("gpu")
def test_a_block_fits_the_accelerator_and_the_host(large, make_run):
    def solve(**compute):
        return make_run(path=large, compute={"device": "cuda", **compute}, per_input=12.0).plan.solve

    def rows(per_input, budget):
        return budget / (per_input * DATA / ROWS)

    by_device = solve(memory="64 GiB")
    assert by_device.device_memory <= USABLE * GPU
    assert by_device.block["x"] == pytest.approx(rows(12, USABLE * GPU), rel=0.1)
    assert by_device.memory == pytest.approx(STAGED * by_device.device_memory / 12, rel=0.01)
    by_host = solve(memory="2 GiB")
    assert by_host.memory <= USABLE * 2**31 - PROCESS
    assert by_host.block["x"] == pytest.approx(rows(STAGED, USABLE * 2**31 - PROCESS), rel=0.1)
    assert solve(memory="64 GiB", device_memory="4 GiB").block["x"] < 0.6 * by_device.block["x"]
    on_host = solve(device="cpu", memory="80 GiB")
    assert on_host.device_memory == 0
    assert not on_host.block


@pytest.mark.usefixtures("gpu")
def test_what_is_too_little_is_named(large, make_run):
    with pytest.raises(RequestError, match=r"compute.device_memory = 1 GiB is too little"):
        make_run(path=large, compute={"device": "cuda", "device_memory": "1 GiB", "probe": False}, fixed=2**30)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("scatter", [0.92, 1.0, 1.08])
def test_the_accelerator_has_factors_of_its_own(large, make_run, scatter):
    run = make_run(path=large, compute={"device": "cuda", "memory": "64 GiB"}, per_input=12.0)
    (stage,) = run.plan.stages
    assert worth_probing(run.plan, run.compute)
    found = Probe(PROCESS, stage.memory, int(stage.device_memory * OFF**2 * scatter), stage.n_blocks, 0.0, 0.0, 0.0)
    model = measured_model(run.plan, run.compute, {0: found})
    assert model.device_factors == {(0, 1): pytest.approx(OFF**2)}
    assert model.device == GPU
    assert set(model.factors.values()) <= {1.0}


@pytest.mark.usefixtures("gpu")
def test_the_plan_keeps_what_it_was_made_for(large, make_run):
    plan = make_run(path=large, compute={"device": "cuda"}).plan
    assert plan.device_memory == GPU
    assert Plan.from_json(plan.to_json()) == plan


def test_a_probe_tells_what_a_block_took_of_the_device(make_run, monkeypatch):
    run = make_run(solver={"max_iter": 2})
    monkeypatch.setattr(probing, "peak_of", lambda device: 12345)
    worker = probing._Unstored(run.output.path, run.resolved, run.plan, run.compute, 10, devices.choose_device("cpu"))
    assert probing._measure(worker, 0).device == 12345
    assert devices.peak_of(torch.device("cpu")) == 0


def exhausted(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total of 8 GiB")


def test_a_block_that_needs_more_than_its_device_has_is_told_of_with_the_cure(make_run, monkeypatch):
    monkeypatch.setattr(toy_chain.Descent, "step", exhausted)
    run = make_run(compute={"blocks": {"x": 6}})
    told = r"block 0 of stage 2 needs more memory than its device has \(CUDA out of memory\).*compute\.blocks"
    with pytest.raises(RunError, match=told):
        run.execute()
    task, name = Task("block", 1, 0), read_attributes(run.output.path)["run"]
    with pytest.raises(RunError, match=told):  # as in a process of its own, and on a cluster
        perform(str(run.output.path), name, "support.toy_chain:build", task)
