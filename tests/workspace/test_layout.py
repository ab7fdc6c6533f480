"""The workspace agrees with itself: its lists name every pack, versions fit, and the front door stays light."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import preimage
from preimage.hookspecs import KINDS

ROOT = Path(__file__).parents[2]
PACKS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
FOLDERS = {"core", "plugins", "registry", "tests", "benchmarks", "examples", "docs"}

each_pack = pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.name)


def read(folder: Path) -> dict:
    """The pyproject.toml of a folder."""
    return tomllib.loads((folder / "pyproject.toml").read_text())


def lines(name: str) -> list[str]:
    """The lines of a requirements file, comments left out."""
    text = (ROOT / name).read_text().splitlines()
    return [line.strip() for line in text if line.strip() and not line.startswith("#")]


def test_requirements_list_the_platform_and_every_pack():
    assert lines("requirements.txt") == ["-e .[dev]", *(f"-e plugins/{pack.name}" for pack in PACKS)]
    assert len(PACKS) == len([path for path in (ROOT / "plugins").iterdir() if path.is_dir()])


def test_import_rules_cover_every_pack():
    rules = read(ROOT)["tool"]["importlinter"]
    packages = ["preimage", "preimage_registry", *(f"preimage_{pack.name}" for pack in PACKS)]
    assert sorted(rules["root_packages"]) == sorted(packages)
    siblings, core = rules["contracts"][0]["layers"]
    assert sorted(siblings.split(" | ")) == sorted(packages[1:])
    assert core == "preimage"


def test_constraints_pin_versions_that_the_requirements_admit():
    project = read(ROOT)["project"]
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    ranges = {requirement.name: requirement.specifier for requirement in map(Requirement, wanted)}
    for pin in map(Requirement, lines("constraints.txt")):
        (version,) = pin.specifier
        assert version.operator == "=="
        assert version.version in ranges[pin.name], f"{pin} is outside {pin.name}{ranges[pin.name]}"


def test_one_version_everywhere():
    version = read(ROOT)["project"]["version"]
    assert preimage.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_no_folder_has_been_added_to_the_house():
    ignored = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    found = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert found - ignored - FOLDERS == set()


@each_pack
def test_pack_is_a_typed_distribution_that_admits_this_version(pack: Path):
    project = read(pack)["project"]
    assert project["name"] == f"preimage-{pack.name}"
    assert (pack / f"preimage_{pack.name}" / "py.typed").is_file()
    (bound,) = (need for need in map(Requirement, project["dependencies"]) if need.name == "preimage")
    version = Version(read(ROOT)["project"]["version"])
    assert bound.specifier.contains(version)
    assert not bound.specifier.contains(f"{version.major + 1}.0.0"), "the next major version may break this pack"


@each_pack
def test_entry_points_of_a_pack_name_its_own_modules(pack: Path):
    groups = read(pack)["project"]["entry-points"]
    assert set(groups) <= {kind.group for kind in KINDS.values()}
    for group, methods in groups.items():
        for name, module in methods.items():
            path = pack.joinpath(*module.split("."))
            assert path.with_suffix(".py").is_file() or path.is_dir(), f"{group} {name}: there is no module {module}"


@pytest.mark.parametrize("module", ["preimage", "preimage.testing.pytest_plugin"])
def test_what_others_import_unasked_is_light(module: str):
    """The front door, and what pytest loads in every project of an environment that holds preimage."""
    heavy = {"torch", "xarray", "zarr", "dask", "scipy", "numpy"}
    code = f"import {module}, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "preimage" in loaded
    assert heavy.isdisjoint(loaded)
