"""What a plan says that a run reads and writes is what it does."""

import json

import numpy as np
import pytest
from support import toy_chain
from support.counting import count_traffic

from preimage.volumes.planning.plan import ArrayPlan
from preimage.volumes.planning.planner import _even
from preimage.volumes.planning.reading import Stored
from preimage.volumes.stores import ATTRIBUTE, SCHEMA, create_array, create_group, open_for_writing, write_dataset
from preimage_registry.registry import Registry
from preimage_registry.runfile import read_recipe
from preimage_registry.running import RUN_SECTIONS, prepare

BYTES = 2 * 8 * 8 * 200 * 256 * 256
"""Of measurement and sensitivities of a multi-coil volume."""


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


def test_of_chunks_that_cannot_all_be_whole_those_of_the_most_bytes_are():
    assert _even(24, 100, [8, 6]) == 24  # both
    assert _even(23, 100, [8, 6]) == 16  # the first: 24 would be too long
    assert _even(7, 100, [8, 6]) == 6
    assert _even(5, 100, [8, 6]) == 5
    assert _even(24, 48, []) == 24


@pytest.fixture
def coils(tmp_path):
    """Makes the plan of a multi-coil volume that has headers alone; its sensitivities are in chunks of 8 along x."""
    group = create_group(tmp_path / "coils.zarr", {ATTRIBUTE: {"schema": SCHEMA}})
    shape = (8, 200, 256, 256)
    assert 2 * 8 * np.prod(shape) == BYTES
    for name, dims, chunks in (
        ("measurement", ("coil", "kx", "kz", "ky"), (1, 200, 16, 256)),
        ("sensitivities", ("coil", "x", "z", "y"), (1, 8, 256, 256)),
    ):
        create_array(group, name, ArrayPlan(dims, shape, "complex64", chunks), compressed=True)

    create_array(group, "mask", ArrayPlan(("kz", "ky"), shape[2:], "bool", shape[2:]), compressed=True)
    open_for_writing(tmp_path / "coils.zarr", "mask")[...] = np.eye(shape[-1], dtype=bool)  # no readout along kz or ky

    def make(**compute):
        recipe = {
            "loader": {"use": "zarr", "path": str(tmp_path / "coils.zarr")},
            "operator": {"use": "cartesian-mri"},
            "solver": {"use": "conjugate-gradient", "damping": 0.01, "max_iter": 5},
            "compute": {"device": "cpu", "normalise": False, **compute},
            "output": {"path": str(tmp_path / "out.zarr")},
        }
        (tmp_path / "run.json").write_text(json.dumps(recipe))
        registry = Registry.here()
        return prepare(read_recipe(tmp_path / "run.json", registry, (), required=RUN_SECTIONS), registry).plan

    return make


@pytest.mark.parametrize("gib", [2.0, 2.2, 2.5, 3.1, 4.0])
def test_blocks_of_a_solve_tear_no_chunks_of_what_else_it_reads_than_the_measurement(coils, gib):
    solve = coils(memory=int(gib * 2**30)).solve
    assert solve.labels == ("conjugate-gradient",)
    assert solve.block["x"] % 8 == 0
    mask = 256 * 256 * solve.n_blocks
    assert solve.bytes_read == BYTES + mask


def test_torn_chunks_are_read_again(coils):
    once, torn = coils(blocks={"x": 8}).solve.bytes_read, coils(blocks={"x": 12}).solve.bytes_read
    assert torn == pytest.approx(BYTES * (1 + 4 / 3) / 2, rel=0.01)  # of each 12, 16 are read
    assert once == pytest.approx(BYTES, rel=0.01)
