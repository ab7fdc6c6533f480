"""The JSON schema of run files says what `validate` says, for whatever is installed."""

from __future__ import annotations

import json
from copy import deepcopy

import jsonschema
import pytest

from preimage_registry.cli import main
from preimage_registry.documents import Mistakes
from preimage_registry.runfile import read_recipe
from preimage_registry.schema import run_file_schema

RUN = {
    "seed": 3,
    "loader": {"use": "files", "path": "data.npy", "dims": ["x"]},
    "preparation": [{"use": "crop", "margin": 2}],
    "operator": {"use": "lab-base:scale", "factor": 3},
    "prior": [{"use": "sparsity", "weight": 5e-3, "on": "image"}, {"use": "smooth"}],
    "solver": {"use": "net", "max_iter": 7},
    "compute": {"checkpoint": "5 min", "memory": "1 GiB", "blocks": {"x": 2}},
    "output": {"path": "out.zarr"},
}

TURNS = """
    from typing import Annotated
    from preimage import Settings as Base, hookimpl
    from preimage.nested import Nested
    from preimage.parts import Part
    from preimage.solving import Needs

    class Inner(Base):
        often: int = 1

    class Settings(Base):
        title: str = ""
        inner: Inner = Inner()
        turns: dict[str, Annotated[Part, Nested("solver")]]

    class Turns:
        needs = Needs(priors=range(10**6))

    @hookimpl
    def preimage_solver(settings: Settings) -> Turns:
        return Turns()
"""
TURNING = {
    "use": "turns",
    "inner": {"often": 2},
    "turns": {"image": {"use": "descent"}, "kernel": {"use": "net", "max_iter": 3}},
}


@pytest.fixture
def turns(base):
    base.install({"lab_turns": TURNS}, {"preimage.solvers": {"turns": "lab_turns"}}, name="lab-turns")
    return base


def validator(registry):
    schema, left_out = run_file_schema(registry)
    assert not left_out
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def changed(at, value):
    """The run with one value changed, or taken out where it is None."""
    run = deepcopy(RUN)
    *way, last = at
    inside = run
    for key in way:
        inside = inside[key]
    if value is None:
        del inside[last]
    else:
        inside[last] = value
    return run


def is_valid(lab, tmp_path, run):
    path = tmp_path / "scan.json"
    path.write_text(json.dumps(run))
    try:
        read_recipe(path, lab.registry())
    except Mistakes:
        return False
    return True


GOOD = [
    (("seed",), None),
    (("prior",), None),
    (("compute",), None),
    (("loader", "dims"), None),
    (("operator", "use"), "scale"),
    (("operator", "factor"), 2.5),
    (("prior", 0, "levels"), 3),
    (("prior", 0, "levels"), "all"),
    (("compute", "checkpoint"), 20),
    (("solver",), TURNING),
]
BAD = {
    "a misspelt section": (("compote",), {}),
    "a section that is missing": (("operator",), None),
    "an unknown method": (("solver", "use"), "descend"),
    "a method of another kind": (("solver", "use"), "smooth"),
    "no method": (("solver", "use"), None),
    "a misspelt setting": (("prior", 0, "wieght"), 1.0),
    "a setting that is missing": (("prior", 0, "weight"), None),
    "a wrong type": (("solver", "max_iter"), "many"),
    "out of bounds": (("prior", 0, "weight"), -1.0),
    "no such choice": (("prior", 0, "transform"), "wavelets"),
    "a wrong element": (("loader", "dims"), [1]),
    "a table for a list": (("prior",), {"use": "smooth"}),
    "a list for a table": (("solver",), [{"use": "net", "max_iter": 7}]),
    "a name for a section": (("solver",), "net"),
    "a setting of another method": (("prior", 1, "transform"), "wavelet"),
    "an unknown of a solver": (("solver", "on"), "image"),
    "a name that is none": (("prior", 0, "on"), 3),
    "a negative seed": (("seed",), -1),
    "a misspelt key of the platform's": (("compute", "thread"), 2),
    "a wrong device": (("compute", "device"), "gpu"),
    "an unknown method inside": (("solver",), {**TURNING, "turns": {"image": {"use": "descend"}}}),
    "a misspelt setting inside": (("solver",), {**TURNING, "turns": {"image": {"use": "descent", "max_itr": 3}}}),
    "a setting inside that is missing": (("solver",), {**TURNING, "turns": {"image": {"use": "net"}}}),
    "a misspelt key of settings inside": (("solver",), {**TURNING, "inner": {"oft": 2}}),
}


@pytest.mark.parametrize(("at", "value"), GOOD)
def test_what_is_valid_fits(turns, tmp_path, at, value):
    run = changed(at, value)
    assert is_valid(turns, tmp_path, run)
    validator(turns.registry()).validate(run)


@pytest.mark.parametrize(("at", "value"), BAD.values(), ids=BAD)
def test_what_is_a_mistake_does_not_fit(turns, tmp_path, at, value):
    run = changed(at, value)
    assert not is_valid(turns, tmp_path, run)
    assert not validator(turns.registry()).is_valid(run)


def test_a_mistake_is_told_where_it_stands(turns):
    (error,) = validator(turns.registry()).iter_errors(changed(("prior", 0, "wieght"), 1.0))
    assert list(error.absolute_path) == ["prior", 0]
    assert "'wieght' was unexpected" in error.message
    (error,) = validator(turns.registry()).iter_errors(changed(("solver", "max_iter"), "many"))
    assert list(error.absolute_path) == ["solver", "max_iter"]


def test_it_has_what_an_editor_shows(turns):
    definitions = run_file_schema(turns.registry())[0]["$defs"]
    own = definitions["prior.lab-base:sparsity"]
    assert own["description"] == "Few values are not zero."
    assert own["properties"]["weight"]["description"] == "λ."
    assert own["properties"]["transform"] == {
        "default": "wavelet",
        "description": "Where they are few.",
        "enum": ["identity", "wavelet"],
        "type": "string",
    }
    assert "on" in own["properties"]
    assert "on" not in definitions["solver.lab-base:net"]["properties"]
    use = definitions["prior"]["properties"]["use"]
    assert use["enum"] == ["smooth", "sparsity", "lab-base:smooth", "lab-base:sparsity"]
    assert use["enumDescriptions"][:2] == ["Small differences.", "Few values are not zero."]
    inside = definitions["solver.lab-turns:turns"]["properties"]["turns"]["additionalProperties"]
    assert inside == {"$ref": "#/$defs/solver"}
    assert "title" in definitions["solver.lab-turns:turns"]["properties"]  # a setting of that name stays


def test_of_two_with_one_name_only_the_full_names_are_offered(base, prior_source):
    base.install({"lab_other": prior_source}, {"preimage.priors": {"smooth": "lab_other"}}, name="lab-other")

    def offered(**policy):
        return run_file_schema(base.registry(**policy))[0]["$defs"]["prior"]["properties"]["use"]["enum"]

    assert offered() == ["sparsity", "lab-base:smooth", "lab-base:sparsity", "lab-other:smooth"]
    assert "smooth" in offered(prefer={"prior.smooth": "lab-other"})
    check = validator(base.registry(prefer={"prior.smooth": "lab-other"}))
    assert check.is_valid(changed(("prior", 1), {"use": "smooth", "weight": 2.0}))
    assert not check.is_valid(changed(("prior", 1, "use"), "lab-nobody:smooth"))


def test_text_that_a_function_reads_first_may_be_written(base):
    source = '''
        """Waits."""
        from typing import Annotated
        from pydantic import BeforeValidator
        from preimage import Settings as Base, hookimpl

        class Settings(Base):
            pause: Annotated[float, BeforeValidator(lambda text: len(text) if isinstance(text, str) else text)] = 1.0

        @hookimpl
        def preimage_prior(settings: Settings) -> object:
            return settings
    '''
    base.install({"lab_wait": source}, {"preimage.priors": {"wait": "lab_wait"}}, name="lab-wait")
    check = validator(base.registry())
    assert check.is_valid(changed(("prior", 1), {"use": "wait", "pause": "..."}))
    assert check.is_valid(changed(("prior", 1), {"use": "wait", "pause": 3}))
    assert not check.is_valid(changed(("prior", 1), {"use": "wait", "pause": [3]}))


def test_settings_that_hold_themselves(base):
    source = '''
        """Nested."""
        from __future__ import annotations
        from preimage import Settings as Base, hookimpl

        class Settings(Base):
            depth: int = 0
            more: Settings | None = None

        @hookimpl
        def preimage_prior(settings: Settings) -> object:
            return settings
    '''
    base.install({"lab_deep": source}, {"preimage.priors": {"deep": "lab_deep"}}, name="lab-deep")
    check = validator(base.registry())
    assert check.is_valid(changed(("prior", 1), {"use": "deep", "more": {"more": {"depth": 2}}}))
    assert not check.is_valid(changed(("prior", 1), {"use": "deep", "more": {"more": {"dpeth": 2}}}))
    assert not check.is_valid(changed(("prior", 1), {"use": "deep", "more": {"use": "deep"}}))


def test_without_methods_it_is_a_schema_all_the_same(lab):
    schema, _ = run_file_schema(lab.registry())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert not jsonschema.Draft202012Validator(schema).is_valid(RUN)


@pytest.fixture
def here(base, tmp_path, monkeypatch):
    (tmp_path / "plugins.toml").write_text('[trust]\nallow = ["lab-*"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREIMAGE_PLUGINS", "")
    monkeypatch.delenv("PREIMAGE_PLUGINS")
    return tmp_path


def test_the_command_leaves_broken_plugins_out_and_names_them(here, base, capsys):
    odd = """
        from preimage import Settings as Base, hookimpl

        class Odd:
            pass

        class Settings(Base, arbitrary_types_allowed=True):
            odd: Odd | None = None

        @hookimpl
        def preimage_prior(settings: Settings) -> object:
            return settings
    """
    points = {"preimage.priors": {"bad": "bad", "odd": "lab_odd"}}
    base.install({"bad": "import nowhere", "lab_odd": odd}, points, name="lab-bad")
    assert main(["schema"]) == 0
    out, err = capsys.readouterr()
    schema = json.loads(out)
    assert "lab-bad" not in out
    assert "sparsity" in schema["$defs"]["prior"]["properties"]["use"]["enum"]
    told = err.splitlines()
    assert told[0].startswith("left out: prior.bad of lab-bad 1.2 is broken: ModuleNotFoundError")
    assert told[1].startswith("left out: prior.odd of lab-bad 1.2 has settings that no schema can be made of")


def test_the_command_writes_a_file(here, capsys):
    assert main(["schema", "--output", "preimage.schema.json"]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads((here / "preimage.schema.json").read_text())["title"] == "A run file of preimage"
    assert main(["schema", "--output", "nowhere/schema.json"]) == 2
    assert capsys.readouterr().err == "--output nowhere/schema.json cannot be written: No such file or directory\n"
