"""What `preimage doctor` finds, and the cure that it names."""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from preimage_registry.cli import main
from preimage_registry.diagnosis import machine
from preimage_registry.diagnosis.machine import devices, examples, memory, threads
from preimage_registry.diagnosis.plugins import plugins
from preimage_registry.diagnosis.versions import versions


@pytest.fixture
def here(base, tmp_path, monkeypatch):
    """A folder with a plugins.toml that lets in the laboratory alone."""
    (tmp_path / "plugins.toml").write_text('[trust]\nallow = ["lab-*"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREIMAGE_PLUGINS", "")
    monkeypatch.delenv("PREIMAGE_PLUGINS")
    monkeypatch.delenv("PREIMAGE_DATA", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def about(findings, subject):
    (found,) = (one for one in findings if one.about == subject)
    return found


def test_all_is_well_here(here, capsys):
    assert main(["doctor"]) == 0
    out, err = capsys.readouterr()
    lines = {line.split()[1]: line for line in out.splitlines()}
    assert all(line.startswith("ok ") for line in lines.values())
    assert metadata.version("torch") in lines["torch"]
    assert f"{here}/plugins.toml: allows lab-*" in lines["plugins.toml"]
    assert "1 loader, 1 preparation, 1 operator, 1 likelihood, 2 priors, 4 solvers" in lines["lab-base"]
    assert not err


def test_json_has_it_all_and_a_warning_exits_with_1(here, capsys, monkeypatch):
    monkeypatch.setenv("PREIMAGE_DATA", str(here / "nowhere"))
    assert main(["doctor", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert [one for one in findings if one["state"] == "warning"] == [
        {
            "about": "PREIMAGE_DATA",
            "found": f"{here}/nowhere",
            "cure": "there is no such folder: export PREIMAGE_DATA=...",
            "state": "warning",
        }
    ]


def test_a_warning_is_followed_by_its_cure(here, capsys, monkeypatch):
    monkeypatch.setenv("PREIMAGE_DATA", str(here / "nowhere"))
    main(["doctor"])
    *_, told, cure = capsys.readouterr().out.splitlines()
    assert told.startswith("warning  PREIMAGE_DATA")
    assert cure.strip() == "→ there is no such folder: export PREIMAGE_DATA=..."


def test_broken_plugins_are_named_with_a_reason(here, base):
    base.install({"bad": "import nowhere"}, {"preimage.priors": {"bad": "bad"}}, name="lab-bad")
    found = about(plugins(None), "prior.bad")
    assert "ModuleNotFoundError: No module named 'nowhere'" in found.found
    assert found.cure.startswith("mend lab-bad, uninstall it, or leave it out by deny")
    (here / "plugins.toml").write_text('[trust]\nallow = ["lab-*"]\ndeny = ["prior.bad"]\n')
    assert not any(one.cure for one in plugins(None))


def test_clashes_are_told_once(here, base, prior_source):
    base.install({"lab_other": prior_source}, {"preimage.priors": {"smooth": "lab_other"}}, name="lab-other")
    found = about(plugins(None), "clash")
    assert found.found == "prior 'smooth' is offered by lab-base and lab-other"
    assert found.cure.startswith('write \'lab-base:smooth\', or "prior.smooth" = "lab-base" under [prefer]')
    policy = '[trust]\nallow = ["lab-*"]\n[prefer]\n"prior.smooth" = "lab-other"\n'
    (here / "plugins.toml").write_text(policy)
    assert not any(one.cure for one in plugins(None))


def test_a_preference_for_what_is_not_there_is_told(here):
    (here / "plugins.toml").write_text('[trust]\nallow = ["lab-*"]\n[prefer]\n"prior.smooth" = "lab-gone"\n')
    assert "there is no prior 'lab-gone:smooth'" in about(plugins(None), "[prefer]").found


def test_a_distribution_for_another_preimage_is_told_and_not_imported(here, base):
    base.install(
        {"old": "raise SystemExit"}, {"preimage.priors": {"old": "old"}}, name="lab-old", requires=("preimage<1",)
    )
    found = about(plugins(None), "lab-old 1.2")
    assert found.found == "lab-old 1.2 needs preimage<1, this is 1.0.0"
    assert found.cure == "pip install --upgrade lab-old, or uninstall it"
    assert "old" not in sys.modules


def test_nothing_is_imported_under_a_policy_that_cannot_be_read(here):
    (here / "plugins.toml").write_text("[trust\n")
    (found,) = plugins(None)
    assert (found.about, found.state) == ("plugins.toml", "warning")
    assert "plugins.toml:1" in found.found
    assert "lab_base" not in sys.modules
    assert main(["doctor"]) == 1


def test_where_the_policy_was_found(here, monkeypatch):
    (here / "other.toml").write_text('[trust]\nallow = ["lab-*"]\ndeny = ["solver.*"]\n')
    given = here / "other.toml"
    assert about(plugins(given), "plugins.toml").found == f"{given} (by --plugins): allows lab-*, denies solver.*"
    monkeypatch.setenv("PREIMAGE_PLUGINS", str(given))
    assert "(by $PREIMAGE_PLUGINS)" in about(plugins(None), "plugins.toml").found
    monkeypatch.setenv("PREIMAGE_PLUGINS", str(here / "gone.toml"))
    assert "gone.toml: there is no such file" in about(plugins(None), "plugins.toml").found


def test_extensions_are_loaded(here, base):
    good = "from preimage import hookimpl\n@hookimpl\ndef preimage_run_started(record): ...\n"
    points = {"preimage.extensions": {"watch": "lab_watch", "bad": "lab_bad"}}
    base.install({"lab_watch": good, "lab_bad": "import nowhere"}, points, name="lab-ext")
    for names, state in ((["watch"], "ok"), (["watch", "bad"], "warning"), (["none"], "warning")):
        (here / "plugins.toml").write_text(f'extensions = {json.dumps(names)}\n[trust]\nallow = ["lab-*"]\n')
        assert about(plugins(None), "extensions").state == state


def test_what_policy_denies_is_said_and_is_no_warning(here):
    (here / "plugins.toml").write_text('[trust]\nallow = ["lab-*"]\ndeny = ["lab-*"]\n')
    found = about(plugins(None), "lab-base 1.0")
    assert (found.found, found.state) == (f"{here}/plugins.toml denies 'lab-*'", "ok")


def test_a_library_that_is_too_old_or_missing_is_told(monkeypatch):
    real = metadata.version

    def version(name):
        if name == "zarr":
            raise metadata.PackageNotFoundError(name)
        return "1.0" if name == "torch" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    found = list(versions())
    assert about(found, "torch").found.startswith("1.0, not >=")
    assert about(found, "torch").cure.startswith("pip install 'torch>=")
    assert about(found, "zarr").found == "not installed"
    assert about(found, "numpy").state == "ok"


def processors():
    return len(os.sched_getaffinity(0))


def test_threads_that_outnumber_processors_or_spin_are_told(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(processors() + 1))
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    found = list(threads())
    assert about(found, "threads").cure == f"export OMP_NUM_THREADS={processors()}, or unset it"
    assert "export OMP_WAIT_POLICY=PASSIVE" in about(found, "OpenMP waiting").cure
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    assert not any(one.cure for one in threads())


def test_little_memory_is_told(monkeypatch):
    meminfo = "MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: {} kB\n"
    for kib, state in ((2**20, "warning"), (5 * 2**20, "ok")):
        monkeypatch.setattr(machine.Path, "read_text", lambda path, kib=kib: meminfo.format(kib))
        (found,) = memory()
        assert found.state == state
    assert found.found == "5 GiB of 8 GiB free"


def test_where_measurements_are(monkeypatch, tmp_path):
    monkeypatch.delenv("PREIMAGE_DATA", raising=False)
    assert [one.state for one in examples()] == ["ok"]
    monkeypatch.setenv("PREIMAGE_DATA", str(tmp_path))
    assert [(one.found, one.state) for one in examples()] == [(str(tmp_path), "ok")]


def cuda(names, version="12.8"):
    """As much of torch as is asked about devices."""
    return SimpleNamespace(
        version=SimpleNamespace(cuda=version),
        cuda=SimpleNamespace(
            is_available=lambda: bool(names),
            device_count=lambda: len(names),
            get_device_name=lambda i: names[i],
            mem_get_info=lambda i: (2**30, 4 * 2**30),
        ),
    )


def test_every_gpu_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", cuda(["NVIDIA A", "NVIDIA B"]))
    found = [(one.about, one.found) for one in devices()]
    assert found == [("cuda:0", "NVIDIA A, 1 GiB of 4 GiB free"), ("cuda:1", "NVIDIA B, 1 GiB of 4 GiB free")]


@pytest.mark.parametrize(("version", "cure"), [(None, "is built for the CPU alone"), ("12.8", "update the driver")])
def test_a_gpu_that_torch_cannot_use_is_told(monkeypatch, tmp_path, version, cure):
    monkeypatch.setitem(sys.modules, "torch", cuda([], version))
    monkeypatch.setattr(machine, "NVIDIA", tmp_path / "none")
    assert [one.state for one in devices()] == ["ok"]  # there is none
    monkeypatch.setattr(machine, "NVIDIA", tmp_path)
    (found,) = devices()
    assert cure in found.cure


def test_a_torch_that_cannot_be_imported_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (found,) = devices()
    assert "cannot be imported" in found.found
