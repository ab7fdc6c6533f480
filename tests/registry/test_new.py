"""`preimage new plugin`: what it writes, and where it refuses to."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from preimage_registry.cli import main
from preimage_registry.cli.new import TEMPLATE


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_plugin_has_its_own_name_everywhere(here, capsys):
    assert main(["new", "plugin", "Lab_Nine"]) == 0
    said = capsys.readouterr().out
    files = written(here / "Lab_Nine")
    assert set(files) == {
        ".gitignore",
        "README.md",
        "constraints.txt",
        "lab_nine/__init__.py",
        "lab_nine/coded_exposure.py",
        "lab_nine/py.typed",
        "lab_nine/video.py",
        "pyproject.toml",
        "runs/make_video.py",
        "runs/video.toml",
        "tests/test_coded_exposure.py",
        "tests/test_run.py",
    }
    assert not [name for name, text in files.items() if "lab-example" in text or "lab_example" in text]
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["name"] == "lab-nine"
    assert project["dependencies"] == ["preimage>=1,<2"]
    assert project["entry-points"] == {"preimage.operators": {"coded-exposure": "lab_nine.coded_exposure"}}
    assert "license" not in project  # the lab's to choose
    assert "preimage check lab-nine" in said
    assert "pip install -e Lab_Nine -c Lab_Nine/constraints.txt" in said


def test_its_constraints_are_the_versions_that_are_here(here):
    main(["new", "plugin", "lab-nine"])
    lines = (here / "lab-nine" / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    assert {"torch", "numpy", "zarr"} <= {pin.name for pin in pins}
    assert all(metadata.version(pin.name) in pin.specifier for pin in pins)


def test_another_name_than_the_folders(here):
    assert main(["new", "plugin", "deep/er", "--name", "lab-nine"]) == 0
    assert (here / "deep" / "er" / "lab_nine" / "coded_exposure.py").is_file()


def test_an_empty_folder_is_filled_and_what_tools_left_in_the_template_is_not_copied(here, monkeypatch):
    cache = TEMPLATE / "lab_example" / "__pycache__"
    monkeypatch.chdir(here)
    made = not cache.exists()
    if made:
        cache.mkdir()
    (cache / "left.pyc").write_bytes(b"\xff")
    try:
        (here / "lab-nine").mkdir()
        assert main(["new", "plugin", "lab-nine"]) == 0
    finally:
        (cache / "left.pyc").unlink()
        if made:
            cache.rmdir()
    assert not list((here / "lab-nine").rglob("*.pyc"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lab nine", "'lab nine' is no name for a plugin: write small letters, digits and single hyphens"),
        ("9lab", "'9lab' is no name for a plugin"),
        ("lab--nine", "'lab--nine' is no name for a plugin"),
        ("../lab", "'../lab' is no name for a plugin"),
        ("class", "'class' is no name for a plugin"),
        ("numpy", "a distribution 'numpy' is installed already: choose another name by --name"),
        ("preimage", "a distribution 'preimage' is installed already"),
        ("preimage-registry", "Python has a module 'preimage_registry' already, in /"),
        ("json", "Python has a module 'json' already, in /"),
        ("sys", "Python has a module 'sys' already, in built-in"),
    ],
)
def test_a_name_that_is_none_or_taken_is_refused(here, capsys, name, message):
    assert main(["new", "plugin", "somewhere", "--name", name]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not list(here.iterdir())


def test_nothing_is_overwritten(here, capsys):
    (here / "lab-nine").mkdir()
    (here / "lab-nine" / "README.md").write_text("mine")
    assert main(["new", "plugin", "lab-nine"]) == 2
    assert capsys.readouterr().err == "lab-nine is not empty: choose another folder, nothing was written\n"
    assert written(here) == {"lab-nine/README.md": "mine"}
    (here / "file").write_text("mine")
    (here / "nowhere").symlink_to(here / "gone")
    for folder in ("file", "nowhere"):
        assert main(["new", "plugin", folder]) == 2
        said = capsys.readouterr().err
        assert said == f"{folder} is there and is no folder: choose another, nothing was written\n"


def test_a_folder_that_cannot_be_made_is_one_line(here, capsys):
    (here / "file").write_text("mine")
    assert main(["new", "plugin", "file/lab-nine"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_what_can_be_begun_is_shown(capsys):
    assert main(["new", "--help"]) == 0
    assert "plugin" in capsys.readouterr().out
    assert main(["new", "plugin"]) == 2
    assert "Missing argument 'DIR'" in capsys.readouterr().err
