"""The distributions as others get them: built, then installed from their wheels into a fresh environment."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from preimage.hookspecs import KINDS

pytestmark = pytest.mark.wheels

ROOT = Path(__file__).parents[2]
PACKS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints, as seen from outside this environment; a failure shows its output."""
    outside = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, cwd=cwd, env=outside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist and the wheel (built from it) of the platform and of every pack."""
    folder = tmp_path_factory.mktemp("dist")
    for project in [ROOT, *PACKS]:
        run(sys.executable, "-m", "build", "--outdir", folder, project, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def fresh(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of an environment that holds the wheels and nothing of this checkout."""
    folder = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    projects = [tomllib.loads((path / "pyproject.toml").read_text())["project"] for path in [ROOT, *PACKS]]
    names = [f"{project['name']}=={project['version']}" for project in projects]
    pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--find-links", dist]
    run(*pip, "-c", ROOT / "constraints.txt", *names, cwd=folder)
    return folder / "bin"


def test_sdist_holds_the_platform_and_nothing_else(dist: Path):
    (archive,) = dist.glob("preimage-*.tar.gz")
    with tarfile.open(archive) as tar:
        top = {Path(name).parts[1] for name in tar.getnames()}
    assert top - {".gitignore"} == {"core", "registry", "README.md", "LICENSE", "pyproject.toml", "PKG-INFO"}


def test_platform_wheel_holds_both_packages_typed(dist: Path):
    (wheel,) = dist.glob("preimage-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"preimage/py.typed", "preimage_registry/py.typed"} <= set(names)
    packages = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {"preimage", "preimage_registry"}


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.name)
def test_pack_wheel_holds_its_package_and_no_tests(dist: Path, pack: Path):
    (wheel,) = dist.glob(f"preimage_{pack.name}-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert f"preimage_{pack.name}/py.typed" in names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {f"preimage_{pack.name}"}


def test_installed_methods_are_listed(fresh: Path, tmp_path: Path):
    listed = run(fresh / "preimage", "list", cwd=tmp_path)
    groups = [tomllib.loads((pack / "pyproject.toml").read_text())["project"]["entry-points"] for pack in PACKS]
    methods = {name for group in groups for names in group.values() for name in names}
    assert methods, "no pack offers a method"
    assert sorted(name for name in methods if name not in listed.split()) == []
    assert "[broken" not in listed


def test_installed_methods_import_with_what_their_distributions_declare(fresh: Path, tmp_path: Path):
    for kind in KINDS.values():
        code = f"from importlib.metadata import entry_points; [e.load() for e in entry_points(group='{kind.group}')]"
        run(fresh / "python", "-c", code, cwd=tmp_path)


def test_conformance_is_checked_without_pytest(fresh: Path, tmp_path: Path):
    assert not (fresh / "pytest").exists()
    run(fresh / "preimage", "check", "operator.identity", cwd=tmp_path)


def test_installed_packages_import_from_anywhere(fresh: Path, tmp_path: Path):
    packages = ["preimage", "preimage_registry", *(f"preimage_{pack.name}" for pack in PACKS)]
    code = f"import {', '.join(packages)}; print({', '.join(f'{name}.__file__' for name in packages)}, sep='\\n')"
    files = run(fresh / "python", "-c", code, cwd=tmp_path).split()
    assert all(Path(file).is_relative_to(fresh.parent) for file in files)
