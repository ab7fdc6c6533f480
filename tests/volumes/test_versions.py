"""A run is of one version of everything that computes."""

import numpy as np
import pytest
from support import toy_chain
from support.crashing import CrashAfter

from preimage.errors import RequestError
from preimage.record import deciding, library_versions
from preimage.volumes import driver
from preimage.volumes.progress import Progress
from preimage.volumes.stores import open_dataset, read_attributes

BLOCKS = {"blocks": {"x": 4}}


class Told(Progress):
    def __init__(self):
        self.notes = []

    def noted(self, message):
        self.notes.append(message)


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def installed(monkeypatch):
    """Makes the operator one of a version of lab-rows, or a library one of another version."""
    build, recipe = toy_chain.build, toy_chain.recipe

    def install(name, version):
        origin = {"distribution": "lab-rows", "version": version}

        def with_origin(recipe):
            chain = build(recipe)
            chain.operator.origin = origin
            return chain

        def with_parts(*arguments, **options):
            rows = {"name": "rows", **origin, "entry_point": f"lab{version[0]}.rows", "settings": {"version": 3}}
            return {**recipe(*arguments, **options), "parts": {"operator": [rows]}}

        if name == "lab-rows":
            monkeypatch.setattr(toy_chain, "build", with_origin)
            monkeypatch.setattr(toy_chain, "recipe", with_parts)
        else:
            monkeypatch.setattr(driver, "library_versions", lambda: library_versions() | {name: version})

    return install


@pytest.fixture
def crashed(make_run, installed):
    installed("lab-rows", "1.0")
    with pytest.raises(RuntimeError, match="crash"):
        make_run(compute=BLOCKS, progress=CrashAfter(2)).execute()


def test_a_setting_that_is_called_version_is_none_of_a_distribution():
    one = toy_chain.recipe("in.zarr", "out.zarr") | {"parts": {"prior": [{"name": "net", "version": "1"}]}}
    settled = {"name": "net", "settings": {"version": 3}}
    assert deciding(one)["parts"] == {"prior": [{"name": "net"}]}
    assert deciding(one | {"parts": {"prior": [settled | {"version": "2"}]}})["parts"] == {"prior": [settled]}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("lab-rows", "operator rows: lab-rows 1.0, here lab-rows 2.0"),
        ("torch", r"torch \S+, here 2.0"),
        ("preimage", r"preimage \S+, here 2.0"),
    ],
)
def test_no_run_goes_on_with_another_version_of_what_computes(crashed, make_run, installed, name, line):
    installed(name, "2.0")
    run = make_run(compute=BLOCKS)
    before = sorted(path.stat().st_mtime_ns for path in run.beside.folder.glob("[0-9]/*.json"))
    with pytest.raises(
        RequestError, match=rf"out.zarr was begun with other versions:\n  {line}\ninstall those again, "
    ):
        run.execute()
    assert sorted(path.stat().st_mtime_ns for path in run.beside.folder.glob("[0-9]/*.json")) == before
    assert run.execute(fresh=True)["finished"]
    assert read_attributes(run.output.path)["parts"] == run.execute()["parts"]


def test_a_run_goes_on_with_the_versions_that_it_was_begun_with(crashed, make_run, installed, told):
    installed("lab-rows", "2.0")
    with pytest.raises(RequestError):
        make_run(compute=BLOCKS).execute()
    installed("lab-rows", "1.0")
    assert make_run(compute=BLOCKS, progress=told).execute()["finished"]
    assert told.notes == []


def test_it_is_said_that_a_library_that_stores_is_another(crashed, make_run, installed, told):
    installed("zarr", "9.9")
    assert make_run(compute=BLOCKS, progress=told).execute()["finished"]
    (note,) = told.notes
    assert note.startswith("the run goes on with other versions than it was begun with: zarr ")
    assert note.endswith(", here 9.9")


def test_a_finished_run_is_returned_and_it_is_said_that_others_made_it(make_run, installed, told):
    installed("lab-rows", "1.0")
    make_run(compute=BLOCKS).execute()
    installed("lab-rows", "2.0")
    run = make_run(compute=BLOCKS, progress=told)
    assert run.execute()["parts"][2]["version"] == "1.0"
    assert told.notes == [
        f"{run.output.path} was made with other versions: operator rows: lab-rows 1.0, here lab-rows 2.0"
    ]


def test_a_finished_run_that_lost_a_block_is_not_mended_by_others(make_run, installed):
    installed("lab-rows", "1.0")
    run = make_run(compute=BLOCKS)
    run.execute()
    kept = open_dataset(run.output.path)["estimate"].values
    run.beside.marker(1, 1).unlink()
    installed("lab-rows", "2.0")
    with pytest.raises(RequestError, match="begun with other versions"):
        make_run(compute=BLOCKS).execute()
    assert np.array_equal(open_dataset(run.output.path)["estimate"].values, kept)
