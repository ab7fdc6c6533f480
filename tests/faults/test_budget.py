"""A volume three times what a worker may use is solved within that."""

import numpy as np
import pytest
from support import toy_chain
from support.bitwise import assert_bitwise_equal
from support.drivers import SCRIPT, Driver, end

from preimage.units import format_bytes
from preimage.volumes import stores
from preimage.volumes.markers import Beside
from preimage.volumes.planning.plan import ArrayPlan, Plan

MEMORY = 2**30
SHAPE = {"kx": 24576, "m": 16384}
"""Of 3 GiB in complex64."""


@pytest.fixture
def large(tmp_path):
    """A dataset of three times the memory, which never was in memory."""
    path, generator = tmp_path / "large.zarr", np.random.default_rng(0)
    group = stores.create_group(path, {stores.ATTRIBUTE: {"schema": stores.SCHEMA}})
    plans = {
        "measurement": ArrayPlan(("kx", "m"), tuple(SHAPE.values()), "complex64", (SHAPE["kx"], 64)),
        "matrix": ArrayPlan(("m", "n"), (SHAPE["m"], 2), "complex64", (SHAPE["m"], 2)),
    }
    for name, plan in plans.items():
        stores.create_array(group, name, plan, compressed=True)
    values = generator.integers(-8, 9, (SHAPE["kx"], 64)).astype(np.complex64)
    measurement = stores.open_for_writing(path, "measurement")
    for start in range(0, SHAPE["m"], 64):
        measurement[:, start : start + 64] = np.roll(values, start, axis=0)
    stores.open_for_writing(path, "matrix")[...] = generator.normal(size=(SHAPE["m"], 2)).astype(np.complex64)
    assert np.prod(list(SHAPE.values())) * 8 == 3 * MEMORY
    return path


def run(source, output, per_input=8.0, **compute):
    """Run it in a process of its own, and return the peak of that."""
    compute = {"memory": MEMORY, "checkpoint": 3600.0, "probe": False, **compute}
    recipe = toy_chain.recipe(source, output, compute, solver={"max_iter": 3}, per_input=per_input)
    driver = Driver(recipe, output.with_suffix(".log"), script=SCRIPT.replace("gated", "toy_chain"))
    try:
        said = driver.wait()
    finally:
        end(driver.process)
    return int(said.rpartition("peak: ")[2])


def done(output):
    """The plan of a run, and the peaks of the processes after its blocks."""
    plan = Plan.of(stores.read_attributes(output))
    blocks = ((stage, block) for stage, planned in enumerate(plan.stages) for block in range(planned.n_blocks))
    return plan, [Beside(output).read(*block)["peak"] for block in blocks]


@pytest.mark.faults
def test_a_volume_three_times_the_budget_is_solved_within_it(large, tmp_path, record_fault):
    driver = run(large, tmp_path / "two.zarr", workers=2)
    plan, peaks = done(tmp_path / "two.zarr")
    assert all(planned.n_blocks > 1 for planned in plan.stages)
    assert max(peaks) <= MEMORY
    assert driver <= MEMORY
    one = run(large, tmp_path / "one.zarr")
    assert one <= MEMORY
    assert_bitwise_equal(tmp_path / "two.zarr", tmp_path / "one.zarr")
    blocks = " and ".join(str(planned.n_blocks) for planned in plan.stages)
    fault = f"a volume of {format_bytes(3 * MEMORY)}, workers of {format_bytes(MEMORY)}"
    record_fault(fault, "nothing", f"nothing: {blocks} blocks, at most {format_bytes(max(peaks))}")


@pytest.mark.faults
def test_a_chain_that_declares_a_quarter_of_what_it_needs_is_cut_alike_by_all_its_runs(large, tmp_path):
    assert run(large, tmp_path / "blind.zarr", per_input=1.0) > MEMORY
    run(large, tmp_path / "one.zarr", per_input=1.0, probe=True)
    run(large, tmp_path / "two.zarr", per_input=1.0, probe=True, workers=2)
    blind, one, two = (done(tmp_path / f"{name}.zarr")[0] for name in ("blind", "one", "two"))
    assert one == two  # each by probes of its own
    assert one.solve.n_blocks > 2 * blind.solve.n_blocks
    assert_bitwise_equal(tmp_path / "one.zarr", tmp_path / "two.zarr")
