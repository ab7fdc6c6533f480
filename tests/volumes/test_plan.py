"""The plan: stages where whole axes conflict, blocks that fit, layouts with one writer a shard."""

import json

import numpy as np
import pytest
from support import toy_chain

from preimage.declarations import halo, split, whole
from preimage.errors import DataError, RequestError
from preimage.volumes.planning.axes import chained, complete, iterated
from preimage.volumes.planning.layouts import check_write_units
from preimage.volumes.planning.memory_model import PROCESS, UNDECLARED, USABLE
from preimage.volumes.planning.plan import ArrayPlan, Plan, StagePlan
from preimage.volumes.stores import write_dataset


def test_a_dim_on_one_side_or_not_named_is_whole():
    axes = complete({"x": split, "coil": split, "z": halo(2)}, {"x", "z", "n"}, {"x", "z", "n", "coil"})
    assert axes == {"x": split, "z": halo(2), "n": whole, "coil": whole}


def test_halos_add_up_and_whole_wins():
    assert chained({"x": halo(1), "z": split}, {"x": halo(2), "z": whole}) == {"x": halo(3), "z": whole}
    assert chained({"x": split}, {"z": split}) == {"x": split, "z": split}  # who does not know a dim leaves it alone


def test_under_an_iteration_a_halo_is_whole():
    assert iterated({"x": halo(1), "z": split, "y": whole}) == {"x": whole, "z": split, "y": whole}


def test_without_a_conflict_all_is_one_stage_and_with_one_it_is_cut(make_run):
    fused = make_run().plan
    assert [stage.labels for stage in fused.stages] == [("row-transform", "descent")]
    assert fused.solve.n_blocks == 1
    cut = make_run(compute={"blocks": {"x": 4}}, gain=True).plan
    assert [stage.labels for stage in cut.stages] == [("row-transform",), ("gain", "descent")]
    assert [dict(r) for r in cut.solve.regions()] == [{"x": (0, 4)}, {"x": (4, 8)}, {"x": (8, 12)}]
    assert cut.notes[0].startswith("row-transform put in by preparation gain")


def test_the_rewrite_can_be_left_out(make_run):
    with pytest.raises(DataError, match="x"):
        make_run(compute={"rewrite": False})


def test_intermediates_have_one_writer_a_shard_and_chunks_that_both_sides_read(make_run):
    budget = int((PROCESS + 4 * 12 * 2 * 8 + 100) / USABLE)  # two of the six m at a time, for the first stage
    plan = make_run(compute={"blocks": {"x": 5}, "memory": budget}).plan
    first = plan.stages[0]
    assert dict(first.block) == {"m": 2}
    array = first.outputs["measurement"]
    assert array.dims == ("x", "m")
    assert array.chunks == (5, 2)
    assert array.shards == (15, 2)  # whole rows: 12 of them, in chunks of 5
    assert first.n_blocks == 3


def test_the_last_block_may_be_shorter(make_run):
    stage = make_run(compute={"blocks": {"x": 5}}).plan.solve
    assert [r["x"] for r in stage.regions()] == [(0, 5), (5, 10), (10, 12)]
    assert stage.region(2) == {"x": (10, 12)}


def test_a_dim_that_a_prior_needs_whole_cannot_be_cut_and_the_error_names_the_prior(make_run):
    assert make_run(compute={"blocks": {"x": 4}}, threshold=0.1).plan.solve.n_blocks == 3
    with pytest.raises(RequestError, match=r"'x' cannot be cut: prior 1 \(soft\) needs it whole"):
        make_run(compute={"blocks": {"x": 4}}, threshold=0.1, prior_splits=False)
    with pytest.raises(RequestError, match="'q' cannot be cut: there is no such dim"):
        make_run(compute={"blocks": {"q": 4}})
    with pytest.raises(RequestError, match="'n' cannot be cut: operator rows needs it whole"):
        make_run(compute={"blocks": {"n": 2}})


def test_the_block_follows_from_the_memory(tmp_path, make_run):
    path = tmp_path / "large.zarr"
    write_dataset(toy_chain.example(n_rows=64, m=8, hybrid=True), path)
    row = 8 * 8 * 4.0  # bytes of a row, four times
    for rows, expected in [(64, {}), (40, {"x": 32}), (9, {"x": 8}), (1, {"x": 1})]:
        budget = int((PROCESS + rows * row + 10) / USABLE)
        assert dict(make_run(path=path, compute={"memory": budget}).plan.solve.block) == expected
    with pytest.raises(RequestError, match=r"compute.memory = 740 MiB is too little: the smallest block needs"):
        make_run(path=path, compute={"memory": int(PROCESS / USABLE) + 10, "probe": False})


def test_a_solver_that_does_not_declare_its_memory_is_not_taken_to_need_none(make_run):
    declared, undeclared = make_run().plan.solve.memory, make_run(undeclared=True).plan.solve.memory
    assert undeclared > declared + UNDECLARED.fixed


def test_the_plan_is_plain_data_and_back(make_run):
    plan = make_run(compute={"blocks": {"x": 4}}).plan
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_blocks_that_are_no_whole_write_units_are_refused():
    array = ArrayPlan(("x",), (12,), "float32", (4,))
    stage = StagePlan(0, 0, True, (), {"x": 12}, {"x": 6}, {"estimate": array}, 0, 0, 0)
    with pytest.raises(RequestError, match="blocks of 6 along 'x' are no whole write units of estimate, which are 4"):
        check_write_units(stage)
    check_write_units(StagePlan(0, 0, True, (), {"x": 12}, {"x": 8}, {"estimate": array}, 0, 0, 0))


def test_scalars_and_normalising_are_in_the_plan(make_run):
    plan = make_run().plan
    assert plan.scalars == ("scale", "norm")
    assert plan.normalise
    assert make_run(compute={"normalise": False}).plan.scalars == ("norm",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.drop_vars("matrix"), "operator rows needs a variable 'matrix'"),
        (lambda d: d.drop_vars("measurement"), r"add a section \[simulate\]"),
        (lambda d: d.assign(measurement=d["measurement"].rename(m="q")), "needs 'measurement' with dims x, m"),
        (lambda d: d.assign(measurement=d["measurement"].real), "gives complex64 data, the measurement is float32"),
    ],
)
def test_data_that_do_not_fit_are_named_before_any_are_read(tmp_path, make_run, change, words):
    path = tmp_path / "wrong.zarr"
    write_dataset(change(toy_chain.example()), path)
    with pytest.raises(DataError, match=words):
        make_run(path=path)


def test_dry_planning_reads_no_values(stored, make_run, monkeypatch):
    import zarr

    def refuse(*args, **kwargs):
        raise AssertionError("values were read")

    monkeypatch.setattr(zarr.Array, "__getitem__", refuse)
    assert make_run(compute={"blocks": {"x": 4}}).plan.solve.n_blocks == 3
    assert np.isfinite(make_run().plan.solve.memory)
