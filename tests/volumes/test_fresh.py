"""What a run that is to replace another leaves of that, where it comes to nothing."""

import pytest

from preimage.report import report_path
from preimage.volumes.driver import Run
from preimage.volumes.planning.planner import NothingFits
from preimage.volumes.stores import read_attributes


def nothing_fits(*_):
    raise NothingFits("compute.memory = 4 GiB is too little")


def no_memory(*_):
    raise OSError(12, "Cannot allocate memory")


@pytest.mark.parametrize("fault", [nothing_fits, no_memory])
def test_a_probe_that_fails_leaves_what_is_stored_and_is_told_as_what_it_is(make_run, monkeypatch, fault):
    run = make_run()
    run.execute()
    record = read_attributes(run.output.path)
    markers = sorted(run.beside.folder.rglob("*.json"))
    monkeypatch.setattr(Run, "to_probe", (0,))
    monkeypatch.setattr(Run, "probe", fault)
    with pytest.raises((NothingFits, OSError), match=r"too little|Cannot allocate memory") as raised:
        make_run().execute(fresh=True)
    assert "cannot be created" not in str(raised.value)
    assert read_attributes(run.output.path) == record
    assert sorted(run.beside.folder.rglob("*.json")) == markers
    assert report_path(run.output.path).exists()
