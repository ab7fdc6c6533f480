"""The schema for editors: every example fits, and the mistakes that `validate` tells do not."""

import json
import tomllib
from copy import deepcopy
from pathlib import Path

import jsonschema
import pytest

from preimage_registry import Registry
from preimage_registry.schema import run_file_schema

EXAMPLES = Path(__file__).parents[2] / "examples"


def read(path):
    return tomllib.loads(path.read_text())


RUN_FILES = sorted(path for path in EXAMPLES.rglob("*.toml") if {"operator", "solver"} <= read(path).keys())
OUTSIDE = [path for path in RUN_FILES if (path.parent / "pyproject.toml").exists()]
"""Run files of plugin repositories that are not of this workspace."""

examples = pytest.mark.parametrize("file", RUN_FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))


@pytest.fixture(scope="module")
def validator():
    schema, left_out = run_file_schema(Registry())
    assert not left_out
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def fitting(validator, tmp_path, monkeypatch):
    """The validator for a run file: for one of an outside lab with its plugins as if they were installed."""

    def of(file):
        if file not in OUTSIDE:
            return validator
        install(file.parent, tmp_path, monkeypatch)
        schema, left_out = run_file_schema(Registry())
        if left_out:
            pytest.skip(left_out[0])
        return jsonschema.Draft202012Validator(schema)

    return of


def install(project, folder, monkeypatch):
    meta = read(project / "pyproject.toml")["project"]
    info = folder / f"{meta['name'].replace('-', '_')}-{meta['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {meta['name']}\nVersion: {meta['version']}\n")
    groups = meta["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups]
    (info / "entry_points.txt").write_text("\n".join(lines))
    for path in (project, folder):
        monkeypatch.syspath_prepend(str(path))


def test_there_are_examples():
    assert len(RUN_FILES) > len(OUTSIDE) > 0


@examples
def test_every_example_fits(file, fitting):
    run = {"$schema": "preimage.schema.json", **read(file)}  # as editors of JSON write it
    errors = [f"{error.json_path}: {error.message}" for error in fitting(file).iter_errors(run)]
    assert not errors


def spoiled(run):
    """The run with one mistake each, by name."""

    def put(section, key, value):
        other = deepcopy(run)
        inside = other[section][0] if isinstance(other[section], list) else other[section]
        inside[key] = value
        return other

    yield "misspelt key", put("solver", "max_itr", 3)
    yield "unknown method", put("operator", "use", "cartesian-mir")
    yield "wrong type", put("output", "history", "often")
    yield "misspelt section", {**run, "sovler": run["solver"]}
    yield "section missing", {name: section for name, section in run.items() if name != "operator"}
    for many in {"prior", "preparation"} & run.keys():
        yield f"misspelt key of a {many}", put(many, "wieght", 1.0)
        yield f"one {many} alone", {**run, many: run[many][0]}


@examples
def test_mistakes_in_every_example_are_found(file, fitting, preimage_command, monkeypatch):
    schema = fitting(file)
    monkeypatch.setenv("PREIMAGE_DATA", str(preimage_command.folder))
    monkeypatch.setenv("PREIMAGE_PLUGINS", "")
    for name, run in spoiled(read(file)):
        assert not schema.is_valid(run), name
        path = preimage_command.folder / "spoiled.json"
        path.write_text(json.dumps(run))
        preimage_command("validate", path, code=2)


def test_a_run_file_with_everything_in_it(validator):
    page = (Path(__file__).parents[2] / "docs" / "run-files.md").read_text()
    whole = tomllib.loads(page.partition('```toml title="run.toml"\n')[2].partition("```")[0])
    validator.validate(whole)
    assert not validator.is_valid({**whole, "compute": {**whole["compute"], "checkpoint": ["5 min"]}})


def test_the_command_prints_what_an_editor_reads(preimage_command):
    text = preimage_command("schema")
    assert json.loads(text)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
