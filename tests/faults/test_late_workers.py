"""Workers that come while a run is in work: those that do not fit are left out, and the result is the same."""

import os

import pytest
from support.drivers import TESTS

pytestmark = pytest.mark.faults


def other_torch(folder):
    """The environment of a worker in which another torch is installed, as far as a look at versions tells."""
    info = folder / "torch-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    return {"PYTHONPATH": os.pathsep.join((str(folder), str(TESTS)))}


OTHER_METHODS = "a worker has other methods installed than the run was planned with: operator rows: lab-rows 1.0, here"
LACKING = "a worker cannot make the parts of the run: operator 'rows' is not installed"


@pytest.mark.parametrize(
    ("what", "environment", "said"),
    [
        ("another version of a plugin", lambda folder: {"TOY_VERSION": "2.0"}, OTHER_METHODS),
        ("no such plugin", lambda folder: {"TOY_LACKS": "1"}, LACKING),
        ("another torch", other_torch, "has torch 1.0, this process"),
    ],
    ids=["plugin", "lacks", "torch"],
)
def test_a_late_worker_that_does_not_fit_is_left_out(case, scheduler, survived, tmp_path, what, environment, said):
    """It does nothing, also when the one that was there is killed, and the run waits for one that fits."""
    scheduler.add_workers(1)
    case.gate.let_pass(2)
    driver = case.driver({"scheduler": scheduler.address, "stall": 600.0})
    driver.until(case.are(done=2, held=1), "two blocks done and one held")
    scheduler.add_workers(1, **environment(tmp_path))
    driver.until(lambda: f"is left out: {said}" in driver.said, "word of it")
    (held,) = case.held()
    scheduler.kill_worker(0)
    driver.until(lambda: "is gone: others take over" in driver.said, "word of the death")
    assert scheduler.employment()["worker-2"] == (0, 0, "")
    scheduler.add_workers(1)
    case.gate.open()
    driver.wait()
    assert scheduler.employment()["worker-2"] == (0, 0, "")
    survived(case, f"a late dask worker has {what}", f"block {held} in work", f"block {held} from its state")
