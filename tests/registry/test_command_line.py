"""The command line, as a shell sees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.terminal import shown_at_a_terminal

from preimage_registry.cli import main

HEAVY = ("torch", "xarray", "zarr", "dask", "scipy", "numpy")
PREIMAGE = (sys.executable, "-c", "import sys; from preimage_registry.cli import main; sys.exit(main())")

RUN = """\
[loader]
use = "files"
path = "data.npy"
[operator]
use = "scale"
[[prior]]
use = "sparsity"
weight = 5e-3
[solver]
use = "fista"
"""


@pytest.fixture
def here(base, tmp_path, monkeypatch):
    """A folder with a plugins.toml that lets in the laboratory alone, to work in."""
    (tmp_path / "plugins.toml").write_text('[trust]\nallow = ["lab-*"]\n')
    (tmp_path / "scan.toml").write_text(RUN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREIMAGE_PLUGINS", "")  # so that what `--plugins` puts there is forgotten in the end
    monkeypatch.delenv("PREIMAGE_PLUGINS")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(base.folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
    return tmp_path


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def test_listing_is_fast_and_imports_nothing_heavy(here):
    imported = f"print([module for module in {HEAVY} if module in sys.modules])"
    code = f"import sys; from preimage_registry.cli import main; main(['list']); {imported}"
    seconds = []
    for _ in range(4):
        before = os.times()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "lab_base" not in done.stdout
    assert min(seconds) < 0.4  # of the processor: what else runs on the machine is no matter


def test_listing_shows_a_line_for_each_method_and_what_is_wrong_with_it(here, base, capsys):
    base.install(
        {"bad": "def (", "new": '"""New."""'},
        {"preimage.priors": {"bad": "bad", "gone": "gone", "new": "new"}},
        requires=("preimage>=1",),
    )
    base.install({}, {"preimage.priors": {"old": "new"}}, name="lab-old", requires=("preimage<1",))
    assert main(["list", "prior"]) == 0
    # How wide the columns are depends on the names of all methods, also of those that are installed here.
    shown = [" ".join(line.split()) for line in lines(capsys) if "preimage-" not in line]
    assert shown == [
        f"prior bad [broken: invalid syntax, line 1 of {base.folder}/bad.py]",
        "prior gone [broken: there is no module gone]",
        "prior new New.",
        "prior old [not used: lab-old 1.2 needs preimage<1, this is 1.0.0]",
        "prior smooth Small differences.",
        "prior sparsity Few values are not zero.",
    ]


def test_why_says_where_each_is_from_and_what_policy_makes_of_it(here, capsys):
    (here / "plugins.toml").write_text('[trust]\nallow = ["lab-*"]\ndeny = ["prior.smooth"]\n')
    assert main(["list", "prior", "--why"]) == 0
    shown = [line for line in lines(capsys) if "lab-base" in line]
    assert [line.split(maxsplit=4) for line in shown] == [
        ["prior", "smooth", "lab-base", "1.0", f"{here}/plugins.toml denies 'prior.smooth'"],
        ["prior", "sparsity", "lab-base", "1.0", "used"],
    ]


def test_json_has_it_all(here, capsys):
    assert main(["list", "operator", "--json"]) == 0
    (scale,) = [one for one in json.loads(capsys.readouterr().out) if one["distribution"] == "lab-base"]
    assert scale == {
        "kind": "operator",
        "name": "scale",
        "summary": "y = a x.",
        "distribution": "lab-base",
        "version": "1.0",
        "entry_point": "lab_base.scale",
        "broken": "",
        "why": "used",
    }


def test_a_policy_may_be_given(here, capsys):
    (here / "other.toml").write_text('[trust]\ndeny = ["lab-*"]\n')
    assert main(["--plugins", "other.toml", "validate", "scan.toml"]) == 2
    assert (
        "scan.toml:2: loader.use: loader 'files' may not be used: other.toml denies 'lab-*'" in capsys.readouterr().err
    )


def test_describing_a_prior_shows_settings_capabilities_and_a_section(here, capsys):
    assert main(["describe", "prior.sparsity"]) == 0
    shown = capsys.readouterr().out
    assert "prior.sparsity of lab-base 1.0: Few values are not zero." in shown
    assert [line.split() for line in shown.splitlines()[2:5]] == [
        ["weight", "float", ">", "0", "required", "λ."],
        ["transform", '"identity"', "|", '"wavelet"', '"wavelet"', "Where", "they", "are", "few."],
        ["levels", "int", "|", '"all"', '"all"'],
    ]
    assert "Proximable: A proximal map" in shown
    assert "Denoiser" not in shown
    assert shown.endswith('[[prior]]\nuse = "sparsity"\nweight = 1.0\n')


def test_describing_a_solver_shows_its_needs(here, capsys):
    assert main(["describe", "solver.fista"]) == 0
    shown = capsys.readouterr().out
    assert "Needs:\n  operator: LinearOperator\n  prior: Proximable\n  number of priors: 1\n" in shown
    assert main(["describe", "solver.net"]) == 0
    assert "Needs:\n  depends on its settings\n" in capsys.readouterr().out


def test_describing_an_operator_shows_its_references_and_variables(here, capsys):
    assert main(["describe", "operator.lab-base:scale"]) == 0
    shown = capsys.readouterr().out
    assert "References:\n  Euclid, Elements, 300 BC.\n" in shown
    assert "Requires of the dataset:\n  measurement (x)\n" in shown


def test_validating_a_sound_file(here, capsys):
    assert main(["validate", "scan.toml", "--set", "solver.max_iter=3"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1].split() == ["solver", "fista", "lab-base", "1.0"]
    assert err == "scan.toml is valid\n"


def test_validating_a_file_with_mistakes(here, capsys):
    assert main(["validate", "scan.toml", "--set", "prior.1.wieght=1", "--set", "solver.use=fitsa"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "--set prior.1.wieght: sparsity has no such setting (did you mean 'weight'?)",
        "--set solver.use: there is no solver 'fitsa' (did you mean 'fista'?)",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lst"], "No such command 'lst'"),
        (["list", "--wy"], "No such option: --wy"),
        (["validate"], "Missing argument 'RUN'"),
        (["list", "priors"], "there is no kind 'priors' (did you mean 'prior'?)"),
        (
            ["describe", "fista"],
            "'fista' is no method: write KIND.NAME, such as solver.fista (did you mean solver.fista",
        ),
        (["describe", "solver.fitsa"], "there is no solver 'fitsa' (did you mean 'fista'?)"),
        (["validate", "none.toml"], "none.toml: there is no such file"),
        (["run", "scan.toml"], "scan.toml:1: output: the section is missing: add [output]"),
        (["check", "lab-none"], "no distribution 'lab-none' has methods"),
        (["--plugins", "none.toml", "list"], "none.toml: there is no such file"),
    ],
)
def test_a_wrong_request_is_told_without_a_traceback(here, capsys, arguments, message):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert "Traceback" not in err
    assert not out


def test_help_and_version(capsys):
    assert main(["--help"]) == 0
    assert "validate" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("preimage 1.")


def test_a_bug_is_one_line_and_a_traceback_on_request(here, base, capsys):
    base.install(
        {"buggy": (base.folder / "lab_base" / "net.py").read_text().replace("return Simple", "1 / 0; return Simple")},
        {"preimage.solvers": {"buggy": "buggy"}},
    )
    arguments = ["validate", "scan.toml", "--set", "solver.use=buggy", "--set", "solver.max_iter=1"]
    assert main(arguments) == 1
    assert capsys.readouterr().err.splitlines() == [
        "ZeroDivisionError: division by zero, raised by preimage_solver of solver.buggy of lab-x 1.2",
        f"This is a program's mistake; to see where: preimage --debug {' '.join(arguments)}",
    ]
    with pytest.raises(ZeroDivisionError):
        main(["--debug", *arguments])


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["schema"], ["doctor"], ["--help"]])
def test_a_closed_pipe_is_no_error(here, arguments):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*PREIMAGE, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stop_by_the_keyboard_exits_with_130(here, base):
    ready = here / "ready"
    base.install(
        {"slow": f"import time, pathlib; pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"},
        {"preimage.solvers": {"slow": "slow"}},
    )
    # A shell's background jobs ignore Ctrl-C, and so would what they start.
    heeding = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {PREIMAGE[-1]}"
    command = [*PREIMAGE[:-1], heeding, "describe", "solver.slow"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "preimage: stopped\n")


def test_a_table_is_drawn_on_a_terminal_and_loses_nothing(here):
    shown = shown_at_a_terminal([*PREIMAGE, "list", "prior"], COLUMNS="40")
    words = shown.split()
    assert {"kind", "name", "summary"} <= {word.strip("\x1b[0123456789m") for word in words}
    assert {"Few", "values", "are", "not", "zero."} <= set(words)


def test_checking_shows_broken_laws_and_exits_with_1(here, base, capsys, monkeypatch):
    from preimage import testing
    from preimage.testing import Outcome

    base.install({"bad": "import nowhere"}, {"preimage.priors": {"bad": "bad"}})

    def laws(kind, module):
        assert module.__name__.startswith("lab_base.")
        yield Outcome("first")
        yield Outcome("second", problem="by a factor of 2" if kind == "operator" else None)
        yield Outcome("third", skipped_reason="nothing to check")

    monkeypatch.setattr(testing, "check", laws, raising=False)
    assert main(["check", "prior.smooth"]) == 0
    assert lines(capsys) == ["ok     prior.smooth of lab-base 1.0: 2 laws hold, 0 broken"]
    assert main(["check", "lab-base"]) == 1
    shown = lines(capsys)
    assert "BROKEN operator.scale of lab-base 1.0: 1 laws hold, 1 broken" in shown
    assert "       second: BROKEN. by a factor of 2" in shown
    assert main(["check", "lab-x"]) == 1
    assert lines(capsys)[0].startswith("BROKEN prior.bad of lab-x 1.2 is broken: ModuleNotFoundError")


def test_the_script_is_installed():
    script = Path(sys.executable).with_name("preimage")
    if not script.exists():
        pytest.skip("preimage is not installed in this environment")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("preimage 1.")
