"""What a plan says that a run reads and writes is what it does."""

import pytest
from support import toy_chain
from support.counting import count_traffic

from preimage.volumes.planning.reading import Stored
from preimage.volumes.stores import write_dataset


def planned(plan):
    return [stage.bytes_read for stage in plan.stages], [stage.bytes_written for stage in plan.stages]


def counted(run, monkeypatch):
    read, written = count_traffic(monkeypatch)
    run.execute()
    stages = range(len(run.plan.stages))
    return [read[stage] for stage in stages], [written[stage] for stage in stages]


@pytest.mark.parametrize("options", [{}, {"gain": True}, {"threshold": 0.1, "history": 3}])
@pytest.mark.parametrize("hybrid", [True, False])
@pytest.mark.parametrize("blocks", [{}, {"x": 4}, {"x": 6}])
def test_a_plan_says_what_is_read_and_written(tmp_path, make_run, monkeypatch, options, hybrid, blocks):
    path = tmp_path / "data.zarr"
    chunks = {"x": 4, "kx": 8, "m": 2}  # of 4 along x; the matrix, which every block reads, has chunks along m
    write_dataset(toy_chain.example(n_rows=24, m=8, hybrid=hybrid), path, chunks=chunks)
    run = make_run(path=path, compute={"blocks": blocks}, solver={"max_iter": 2}, **options)
    assert counted(run, monkeypatch) == planned(run.plan)


def test_the_numbers_of_the_run_take_another_pass(tmp_path, make_run):
    path = tmp_path / "data.zarr"
    write_dataset(toy_chain.example(hybrid=True), path)
    once, twice = (
        make_run(path=path, compute={"blocks": {"x": 4}, "normalise": False}, numbers=numbers).plan.solve.bytes_read
        for numbers in (False, True)
    )
    assert twice == 2 * once


def test_what_is_read_is_whole_chunks_up_to_the_edge():
    one = Stored({"x": 10, "z": 4}, {"x": 4}, itemsize=8)
    assert one.bytes_of({}) == one.nbytes == 320
    assert one.bytes_of({"x": [(0, 4), (4, 8), (8, 10)]}) == 320
    assert one.bytes_of({"x": [(0, 5), (3, 10)]}) == (8 + 10) * 4 * 8  # torn chunks, and a halo
    assert one.bytes_of({"coil": [(0, 1), (1, 2)]}) == 2 * 320  # it has no coils: each block reads all of it
