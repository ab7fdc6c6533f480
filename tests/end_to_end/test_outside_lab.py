"""A lab outside: its plugin is begun, installed, used, denied, confused with ours, and removed, by commands alone."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOMOGRAPHY = ROOT / "examples" / "lab-tomography"
PACKS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))


def run(*command, cwd, **environment):
    """What a command prints, as seen from outside this environment; a failure shows it."""
    outside = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    outside |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **environment}
    command = [str(word) for word in command]
    done = subprocess.run(command, cwd=cwd, env=outside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


class Environment:
    """A virtual environment on top of this one: pip changes it alone, and this process sees what is in it."""

    def __init__(self, folder):
        venv.create(folder, symlinks=True)
        self.python = folder / "bin" / "python"
        self.packages = Path(
            run(self.python, "-c", "import site; print(site.getsitepackages()[0])", cwd=folder).strip()
        )
        beneath = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        lines = [f"import site; site.addsitedir({path!r})\n" for path in sorted(beneath)]
        (self.packages / "beneath.pth").write_text("".join(lines))

    def install(self, project):
        quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation")
        run(self.python, "-m", "pip", "install", *quiet, "--force-reinstall", project, cwd=self.packages)
        importlib.invalidate_caches()

    def uninstall(self, name):
        run(self.python, "-m", "pip", "uninstall", "--yes", "--quiet", name, cwd=self.packages)
        importlib.invalidate_caches()

    def pytest(self, project, *arguments):
        return run(self.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, cwd=project)


def forget():
    """Forget what labs' modules this process has imported."""
    for module in [name for name in sys.modules if name.partition(".")[0] in {"lab_scope", "lab_tomography"}]:
        del sys.modules[module]


@pytest.fixture
def environment(tmp_path, monkeypatch):
    made = Environment(tmp_path / "environment")
    monkeypatch.syspath_prepend(made.packages)
    monkeypatch.delenv("PREIMAGE_PLUGINS", raising=False)
    yield made
    forget()


@pytest.fixture
def lab(preimage_command):
    """A plugin as `preimage new plugin` writes it."""
    preimage_command("new", "plugin", "lab-scope")
    return preimage_command.folder / "lab-scope"


def listed(shell, *options):
    """The operators that are listed, and what is said of each."""
    lines = shell("list", "operator", *options).splitlines()
    return {line.split(maxsplit=2)[1]: line.split(maxsplit=2)[2] for line in lines}


def test_from_new_to_gone(environment, lab, preimage_command):
    shell, policy = preimage_command, preimage_command.folder / "plugins.toml"
    assert "coded-exposure" not in listed(shell)

    environment.install(lab)
    assert listed(shell)["coded-exposure"].startswith("Coded exposure: one photograph adds up the frames")
    assert "lab_scope" not in sys.modules  # what is listed is not imported
    said = shell("check", "lab-scope")
    assert said.startswith("ok     operator.coded-exposure of lab-scope 0.1.0")
    assert "0 broken" in said
    run(environment.python, "runs/make_video.py", cwd=lab)
    assert "PSNR" in shell("run", lab / "runs" / "video.toml")
    (ours,) = [one for one in json.loads(shell("list", "operator", "--json")) if one["name"] == "coded-exposure"]
    assert (ours["distribution"], ours["version"], ours["why"]) == ("lab-scope", "0.1.0", "used")

    forget()
    policy.write_text('[trust]\ndeny = ["lab-scope"]\n')
    assert listed(shell)["coded-exposure"] == f"[not used: {policy} denies 'lab-scope']"
    said = shell("validate", lab / "runs" / "video.toml", code=2)
    assert f"operator 'coded-exposure' may not be used: {policy} denies 'lab-scope'" in said
    assert "lab_scope" not in sys.modules  # nor is what is denied
    policy.unlink()

    environment.uninstall("lab-scope")
    assert "coded-exposure" not in listed(shell)
    assert "there is no operator 'coded-exposure'" in shell("validate", lab / "runs" / "video.toml", code=2)


def test_a_name_that_is_ours_is_an_error_on_use_and_either_cure_works(environment, lab, preimage_command):
    shell, project = preimage_command, lab / "pyproject.toml"
    project.write_text(project.read_text().replace('coded-exposure = "', 'blur = "'))
    environment.install(lab)
    run_file = lab / "runs" / "video.toml"
    run_file.write_text(run_file.read_text().replace("coded-exposure", "blur"))
    clash = "operator 'blur' is offered by lab-scope and preimage-imaging: write 'lab-scope:blur', "
    cure = '"operator.blur" = "lab-scope" under [prefer] in plugins.toml'
    assert clash + "or " + cure in shell("validate", run_file, code=2)
    shell("list", "operator")  # nobody else is affected
    assert "lab-scope" in shell("validate", run_file, "--set", "operator.use=lab-scope:blur")
    (shell.folder / "plugins.toml").write_text('[prefer]\n"operator.blur" = "lab-scope"\n')
    assert "lab-scope" in shell("validate", run_file)
    (shell.folder / "plugins.toml").write_text('[prefer]\n"operator.blur" = "preimage-imaging"\n')
    assert "preimage-imaging  " in shell("validate", run_file)
    assert "preimage-imaging is preferred" in shell("list", "operator", "--why")


def test_the_template_passes_its_own_tests_and_tools(environment, lab):
    environment.install(lab)
    assert " passed" in environment.pytest(lab)
    run(sys.executable, "-m", "ruff", "check", "--no-cache", ".", cwd=lab)
    run(sys.executable, "-m", "ruff", "format", "--check", "--no-cache", ".", cwd=lab)
    run(sys.executable, "-m", "mypy", "--cache-dir", ROOT / ".mypy_cache", cwd=lab)


def test_an_outside_lab_passes_its_own_tests(environment, preimage_command):
    environment.install(TOMOGRAPHY)
    assert " passed" in environment.pytest(TOMOGRAPHY, "--ignore", "tests/test_tooth.py")
    assert "BROKEN" not in preimage_command("check", "lab-tomography")
    for file in ("tooth.toml", "tooth-few-views.toml"):
        preimage_command("validate", TOMOGRAPHY / file, "--set", "loader.path=tooth.h5")


def test_an_outside_lab_reconstructs_a_tooth(environment, real_data):
    environment.install(TOMOGRAPHY)
    assert "1 passed" in environment.pytest(TOMOGRAPHY, "tests/test_tooth.py")


@pytest.mark.wheels
def test_in_a_fresh_environment_without_our_source(tmp_path):
    """From wheels, as others get them: what the plugin's README says, and nothing of this checkout."""
    here = ("--no-deps", "--no-build-isolation", "--wheel-dir", "dist")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", *here, ROOT, *PACKS, cwd=tmp_path)
    run(sys.executable, "-m", "venv", "fresh", cwd=tmp_path)
    binaries = tmp_path / "fresh" / "bin"
    pip = (binaries / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
    links = ("--find-links", tmp_path / "dist")
    run(*pip, "install", *links, "-c", ROOT / "constraints.txt", "preimage", cwd=tmp_path)
    run(binaries / "preimage", "new", "plugin", "lab-scope", cwd=tmp_path)
    lab = tmp_path / "lab-scope"
    run(*pip, "install", *links, "-e", ".[dev]", "-c", "constraints.txt", cwd=lab)
    assert "coded-exposure" in run(binaries / "preimage", "list", "operator", cwd=lab)
    assert "0 broken" in run(binaries / "preimage", "check", "lab-scope", cwd=lab)
    assert " passed" in run(binaries / "python", "-m", "pytest", "-q", cwd=lab)
    run(binaries / "python", "runs/make_video.py", cwd=lab)
    assert "PSNR" in run(binaries / "preimage", "run", "runs/video.toml", cwd=lab)
    for tool in (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)):
        run(binaries / tool[0], *tool[1:], cwd=lab)
    run(*pip, "uninstall", "--yes", "lab-scope", cwd=lab)
    assert "coded-exposure" not in run(binaries / "preimage", "list", "operator", cwd=lab)
    shutil.rmtree(tmp_path / "fresh")  # a gigabyte
