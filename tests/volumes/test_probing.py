"""The probe: what blocks really need decides about them, and the same run comes to the same plan."""

from pathlib import Path

import numpy as np
import pytest
from support import toy_chain

from preimage.errors import RequestError
from preimage.volumes import driver
from preimage.volumes.planning.memory_model import (
    OFF,
    PROCESS,
    STEP,
    USABLE,
    factor_of,
    settled_factor,
    settled_process,
)
from preimage.volumes.planning.plan import ArrayPlan, Plan, StagePlan
from preimage.volumes.planning.probing import SURE, Probe
from preimage.volumes.progress import Progress
from preimage.volumes.stores import ATTRIBUTE, SCHEMA, create_array, create_group, read_attributes, write_dataset

TESTS = Path(__file__).parents[1]
SCATTER = np.linspace(0.92, 1.08, 9)
"""By how much memory as it is measured varies, and more: 128 to 139.5 MiB were seen of one block."""
ROWS, M = 32768, 256
DATA = ROWS * M * 8
"""Bytes of the large dataset: 64 MiB."""
HUGE = 64 * DATA
"""Bytes of one that has headers alone."""


class Told(Progress):
    def __init__(self):
        self.said = []

    def noted(self, message):
        self.said.append(message)


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.zarr"
    write_dataset(toy_chain.example(n_rows=ROWS, m=M, hybrid=True), path, chunks={"x": 1024})
    return path


@pytest.fixture(params=["x", "kx"])
def huge(request, tmp_path):
    """A dataset without a value; of rows, or of their transform, which is a stage of its own."""
    path = tmp_path / "huge.zarr"
    group = create_group(path, {ATTRIBUTE: {"schema": SCHEMA}})
    dims, shape = (request.param, "m"), (ROWS, 64 * M)
    create_array(group, "measurement", ArrayPlan(dims, shape, "complex64", (1024, 256)), compressed=True)
    create_array(group, "matrix", ArrayPlan(("m", "n"), (64 * M, 4), "complex64", (64 * M, 4)), compressed=True)
    return path


@pytest.fixture
def findable(monkeypatch):
    """Lets a process of its own find the toys."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


def memory(beside_process, process=PROCESS):
    """What a worker must be given so that a block may need so many bytes."""
    return int((process + beside_process) / USABLE)


def seen(plan, *factors, process=300 * 2**20):
    """Probes of a plan whose blocks need so many times what was predicted."""
    return {
        i: Probe(process, int(stage.memory * factor), stage.device_memory, stage.n_blocks, 0.0, 0.0, 0.0)
        for i, (stage, factor) in enumerate(zip(plan.stages, factors, strict=True))
    }


# --- what is made of a measurement ------------------------------------------------------------------------------------


@pytest.mark.parametrize("true", [OFF ** (2 * k) for k in range(-3, 7)])
def test_a_factor_does_not_vary_with_its_measurement(true):
    found = [settled_factor(true * scatter * DATA, DATA) for scatter in SCATTER]
    assert len(set(found)) == 1
    assert found[0] == pytest.approx(true)


def test_a_factor_is_right_to_within_what_a_plan_leaves_room_for():
    for measured in np.geomspace(0.1, 30, 200):
        off = measured / settled_factor(measured * DATA, DATA)
        assert 1 / OFF - 1e-9 <= off <= OFF + 1e-9
    assert settled_factor(1.19 * DATA, DATA) == 1.0  # a declaration that is nearly right stays


def test_on_the_border_between_two_factors_nothing_is_promised():
    assert settled_factor(OFF * 0.98 * DATA, DATA) != settled_factor(OFF * 1.02 * DATA, DATA)


def test_a_process_is_counted_in_whole_steps():
    assert {settled_process(mib * 2**20) for mib in (306, 317, 318.4)} == {3 * STEP}


@pytest.mark.parametrize("true", [1.0, OFF**2, OFF**4])
def test_probes_that_vary_come_to_one_plan(huge, make_run, monkeypatch, true):
    def planned(scatter):
        run = make_run(path=huge, compute={"memory": memory(0.3 * HUGE)}, per_input=8.0)
        factors = [true * scatter] * len(run.plan.stages)
        monkeypatch.setattr(driver, "probe", lambda *_: seen(run.plan, *factors))
        run.probe()
        return run.plan

    plans = [planned(scatter) for scatter in SCATTER]
    assert all(plan == plans[0] for plan in plans)
    assert plans[0].process == 3 * STEP
    assert any("times the memory that its parts declare" in note for note in plans[0].notes) == (true != 1)


# --- what is done about it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("huge", ["kx"], indirect=True)
def test_every_stage_has_a_factor_of_its_own(huge, make_run, monkeypatch):
    run = make_run(path=huge, compute={"memory": memory(0.3 * HUGE)})
    before = run.plan
    assert [stage.labels for stage in before.stages] == [("row-transform",), ("descent",)]
    monkeypatch.setattr(driver, "probe", lambda *_: seen(before, OFF**4, 1.0, process=4 * STEP))
    run.probe()
    transform, solve = run.plan.stages
    assert before.stages[0].block["m"] / transform.block["m"] == pytest.approx(OFF**4, rel=0.15)  # whole chunks
    assert before.solve.block["x"] / solve.block["x"] == pytest.approx(1, rel=0.15)


def test_of_steps_that_were_measured_apart_the_most_counts_for_them_together():
    measured = {(0, 1): 3.0, (1, 3): 2.0}
    assert [factor_of(measured, steps) for steps in ((0, 1), (1, 3), (0, 3), (3, 4))] == [3.0, 2.0, 3.0, 1.0]


def test_the_block_that_is_begun_is_one_that_reads_beyond_both_its_ends():
    stage = StagePlan(0, 0, True, (), {"x": 10, "z": 7}, {"x": 3, "z": 4}, {}, 0, 0, 0, {"x": 1}, {}, {"z": (0, 1)})
    assert stage.region(stage.largest) == {"x": (3, 6), "z": (0, 4)}
    alone = StagePlan(0, 0, True, (), {}, {}, {}, 0, 0, 0)
    assert alone.region(alone.largest) == {}


def test_a_whole_volume_that_needs_more_than_is_declared_is_cut(large, make_run, findable):
    little = memory(0.3 * DATA)
    run = make_run(path=large, compute={"memory": little}, per_input=0.25, solver={"max_iter": 2})
    assert run.plan.solve.n_blocks == 1
    assert run.to_probe
    plan = Plan.of(run.execute())
    assert plan.solve.n_blocks > 1
    assert "times the memory that its parts declare" in plan.notes[0]
    assert plan.process < PROCESS
    assert plan.process + plan.solve.memory <= USABLE * little


def test_blocks_grow_where_more_is_declared_than_needed(large, make_run, findable):
    run = make_run(path=large, compute={"memory": memory(10 * DATA)}, per_input=90.0)
    before = run.plan.solve.n_blocks
    found = run.probe()[0]
    assert found.block < 90 * DATA / before / OFF
    assert run.plan.solve.n_blocks < before


def test_what_fits_by_far_is_not_worth_a_probe(huge, make_run):
    assert make_run(path=huge, compute={"memory": memory(8 * HUGE)}, per_input=5.0).to_probe
    assert not make_run(path=huge, compute={"memory": memory((5 + 4) * SURE * HUGE)}, per_input=5.0).to_probe


def test_blocks_that_are_asked_for_are_as_asked(large, make_run):
    asked = {"memory": memory(8 * DATA), "blocks": {"x": 4096}}
    assert not make_run(path=large, compute=asked, per_input=40.0).to_probe


@pytest.mark.parametrize("huge", ["kx"], indirect=True)
def test_of_a_stage_before_them_memory_decides_all_the_same(huge, make_run):
    asked = {"memory": memory(0.3 * HUGE), "blocks": {"x": 512}}
    assert make_run(path=huge, compute=asked).to_probe == (0,)
    assert make_run(path=huge, compute={"memory": memory(0.3 * HUGE)}).to_probe == (0, 1)


def test_the_plan_stays_where_the_probe_fails_and_that_is_noted(large, make_run, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)  # the process finds no toys
    told = Told()
    run = make_run(
        path=large, progress=told, compute={"memory": memory(8 * DATA)}, per_input=10.0, solver={"max_iter": 2}
    )
    before = run.plan
    run.execute()
    assert Plan.of(read_attributes(run.output.path)) == before
    assert any("the plan relies on what methods declare: the probe of one block ended" in said for said in told.said)


def test_a_process_is_measured_before_a_run_is_refused(large, make_run, findable):
    little = {"memory": memory(0)}
    with pytest.raises(RequestError, match="is too little"):
        make_run(path=large, compute={**little, "probe": False})
    assert make_run(path=large, compute=little).plan.process < PROCESS
    with pytest.raises(RequestError, match="is too little"):
        make_run(path=large, compute={"memory": memory(0, process=100 * 2**20)})
