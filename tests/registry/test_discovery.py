"""What is installed is known without importing any of it."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from preimage.errors import PluginError
from preimage_registry.summaries import summarise


def test_methods_are_found_with_their_distribution_and_version_in_order(base):
    found = [(method.kind, method.name, method.distribution, method.version) for method in base.registry().methods]
    mine = [one for one in found if one[2] == "lab-base"]
    assert mine[:3] == [
        ("loader", "files", "lab-base", "1.0"),
        ("preparation", "crop", "lab-base", "1.0"),
        ("operator", "scale", "lab-base", "1.0"),
    ]
    assert [name for kind, name, *_ in mine if kind == "solver"] == ["descent", "fista", "inverse", "net"]


def test_the_order_is_not_that_of_the_path(lab, tmp_path, monkeypatch, prior_source):
    lab.install({"b": prior_source}, {"preimage.priors": {"same": "b"}}, name="lab-b")
    other = tmp_path / "other"
    lab.install({"a": prior_source}, {"preimage.priors": {"same": "a"}}, name="Lab_A", folder=other)
    orders = []
    for first, second in ((lab.folder, other), (other, lab.folder)):
        monkeypatch.setattr(sys, "path", [str(first), str(second), *sys.path])
        orders.append([m.distribution for m in lab.registry().methods if m.name == "same"])
    assert orders == [["lab-a", "lab-b"]] * 2


def test_a_distribution_met_twice_counts_once_and_the_first_wins(lab, tmp_path, monkeypatch, prior_source):
    old = tmp_path / "old"
    lab.install({"p": prior_source}, {"preimage.priors": {"p": "p", "dropped": "p"}}, version="1.0", folder=old)
    lab.install({"p": prior_source}, {"preimage.priors": {"p": "p"}}, version="2.0")
    monkeypatch.setattr(sys, "path", [*sys.path, str(old)])
    assert [(m.name, m.version) for m in lab.registry().methods if m.distribution == "lab-x"] == [("p", "2.0")]


def test_finding_and_summarising_run_no_code_of_the_plugin(lab):
    lab.install(
        {"lab_untouched.inner.method": '"""Works."""\nraise RuntimeError("imported")'},
        {"preimage.priors": {"p": "lab_untouched.inner.method"}},
    )
    registry = lab.registry()
    assert summarise(registry.find("prior", "p").entry_point).text == "Works."
    assert not any(name.startswith("lab_untouched") for name in sys.modules)
    with pytest.raises(PluginError, match="a package was imported"):  # the control: loading does run it
        registry.load(registry.find("prior", "p"))


@pytest.mark.parametrize(
    ("source", "text", "broken"),
    [
        ('"""One line.\n\nAnd more."""', "One line.", ""),
        ('# a comment\n"""After it."""', "After it.", ""),
        ("x = 1", "", ""),
        ("x = = 1", "", "invalid syntax, line 1 of"),
        ("x = '\0'", "", "null"),
    ],
)
def test_a_summary_is_the_first_line_of_the_docstring(lab, source, text, broken):
    lab.install({}, {})
    (lab.folder / "summed.py").write_text(source)
    found = summarise(EntryPoint("p", "summed", "preimage.priors"))
    assert found.text == text
    assert broken in found.broken
    assert bool(broken) == bool(found.broken)


@pytest.mark.parametrize("value", ["no_such_package", "no_such_package.inner", "json.no_such_module", "not an entry"])
def test_a_module_that_is_not_there_is_said_to_be_broken(value):
    found = summarise(EntryPoint("p", value, "preimage.priors"))
    assert "\n" not in found.broken
    assert value in found.broken


@pytest.mark.parametrize(
    ("requires", "fits"),
    [
        (("preimage>=1,<2",), True),
        (("Preimage >=1.0.0", "numpy"), True),
        ((), True),
        (("preimage-mri>=9",), True),
        (('preimage>=9; extra == "docs"',), True),
        (("preimage>=2",), False),
        (("numpy", "preimage<1"), False),
        (("preimage>=>1",), False),
    ],
)
def test_a_version_that_does_not_fit_is_seen_before_import(lab, prior_source, requires, fits):
    lab.install(
        {"p": "raise RuntimeError" if not fits else prior_source}, {"preimage.priors": {"p": "p"}}, requires=requires
    )
    registry = lab.registry()
    if fits:
        assert registry.load(registry.find("prior", "p"))
        return
    with pytest.raises(
        PluginError, match=r"may not be used: lab-x 1.2 (needs preimage\S+, this is 1|states a requirement)"
    ):
        registry.find("prior", "p")


@pytest.mark.parametrize("backport", [False, True])
def test_incomplete_metadata_hide_nobody_else(base, backport, monkeypatch):
    if backport:  # it puts its own finder of distributions first, and takes theirs from all others
        monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
        for finder in sys.meta_path:
            if finds := vars(finder).get("find_distributions"):
                monkeypatch.setattr(finder, "find_distributions", finds)  # given back in the end
        pytest.importorskip("importlib_metadata")
    info = base.folder / "lab_odd-1.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[preimage.priors]\nodd = odd\n")
    methods = {(method.name, method.distribution): method for method in base.registry().methods}
    assert methods["odd", "unknown"].version == "unknown"
    assert ("sparsity", "lab-base") in methods
