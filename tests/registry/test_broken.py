"""A broken plugin is one line, and breaks nobody else."""

from __future__ import annotations

import sys

import pytest

from preimage.errors import PluginError

SOUND = """
from preimage import Settings as Base, hookimpl
class Settings(Base):
    weight: float = 1.0
@hookimpl
def preimage_prior(settings) -> object:
    return object()
"""

BROKEN = {
    "syntax error": ("def (", "SyntaxError: invalid syntax (broken.py, line 1)"),
    "import error": ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
    "exit at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "assertion at import": ("assert 1 == 2, 'two\\nlines'", "AssertionError: two lines"),
    "empty error": ("raise ValueError", "ValueError"),
    "no settings": (SOUND.replace("class Settings(Base)", "class Other(Base)"), "no class Settings that derives"),
    "foreign settings": (SOUND.replace("Settings(Base)", "Settings"), "no class Settings that derives"),
    "misspelt hook": (
        SOUND + "@hookimpl\ndef preimage_axis(settings): ...",
        "there is no hook preimage_axis (did you mean 'preimage_axes'?)",
    ),
    "misspelt argument": (
        SOUND.replace("prior(settings)", "prior(setings)"),
        "preimage_prior has an argument 'setings' (did you mean 'settings'?): it may take settings, domain",
    ),
    "no factory": (SOUND.replace("def preimage_prior", "def preimage_solver"), "it does not implement preimage_prior"),
    "unmarked factory": (
        SOUND.replace("@hookimpl", ""),
        "its preimage_prior would not be called: mark it with @hookimpl",
    ),
    "unmarked hook": (
        SOUND + "\ndef preimage_axes(settings): ...",
        "its preimage_axes would not be called: mark it with @hookimpl",
    ),
    "a wrapper for a factory": (
        SOUND.replace("@hookimpl", "@hookimpl(wrapper=True)").replace("return object()", "return (yield)"),
        "it does not implement preimage_prior",
    ),
    "setting called use": (SOUND.replace("weight", "use"), "no setting may be called 'use'"),
    "setting called on": (SOUND.replace("weight", "on"), "no setting may be called 'on'"),
    "observer": (
        SOUND + "@hookimpl\ndef preimage_run_started(record): ...",
        "preimage_run_started, which is for extensions",
    ),
    "annotation for checkers alone": (
        SOUND.replace("-> object", "-> 'Missing'"),
        "to return 'Missing': import it at run",
    ),
    "dims that are a text": (SOUND + "requires = {'angle': 'angle'}", "requires is no mapping of variables to tuples"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_one_line_and_leaves_the_others_usable(base, case):
    source, message = BROKEN[case]
    base.install({}, {"preimage.priors": {"foo": "broken"}})
    (base.folder / "broken.py").write_text(source)
    base.packages.add("broken")
    registry = base.registry()
    before = registry.hooks.get_plugins()
    for _ in range(2):  # the second time it says the same
        with pytest.raises(PluginError) as error:
            registry.load(registry.find("prior", "foo"))
        assert str(error.value).startswith("prior.foo of lab-x 1.2 is broken: ")
        assert message in str(error.value)
        assert "\n" not in str(error.value)
    assert registry.hooks.get_plugins() == before
    assert registry.load(registry.find("prior", "sparsity")).method.name == "sparsity"
    registry.hooks.check_pending()


def test_the_sound_one_loads(lab):
    lab.install({"broken": SOUND}, {"preimage.priors": {"foo": "broken"}})
    registry = lab.registry()
    assert registry.load(registry.find("prior", "foo")).declared is object


def test_a_stop_by_the_keyboard_is_no_broken_plugin(lab):
    lab.install({"p": "raise KeyboardInterrupt"}, {"preimage.priors": {"p": "p"}})
    registry = lab.registry()
    with pytest.raises(KeyboardInterrupt):
        registry.load(registry.find("prior", "p"))


def test_on_is_reserved_for_priors_alone(lab):
    source = SOUND.replace("weight", "on").replace("preimage_prior", "preimage_solver")
    lab.install({"s": source}, {"preimage.solvers": {"s": "s"}})
    registry = lab.registry()
    assert "on" in registry.load(registry.find("solver", "s")).settings.model_fields


def test_a_hook_of_a_later_preimage_may_be_optional(lab):
    source = SOUND + "@hookimpl(optionalhook=True)\ndef preimage_of_the_future(settings): ..."
    lab.install({"p": source}, {"preimage.priors": {"p": "p"}})
    registry = lab.registry()
    assert registry.load(registry.find("prior", "p"))


def test_only_the_one_named_is_imported(base):
    registry = base.registry()
    registry.load(registry.find("prior", "smooth"))
    assert {name for name in sys.modules if name.startswith("lab_base")} == {"lab_base", "lab_base.smooth"}


def test_one_module_may_stand_behind_two_names(lab):
    lab.install({"p": SOUND}, {"preimage.priors": {"one": "p", "two": "p"}, "preimage.solvers": {"wrong": "p"}})
    registry = lab.registry()
    one, two = (registry.load(registry.find("prior", name)) for name in ("one", "two"))
    assert one.module is two.module
    with pytest.raises(PluginError, match="does not implement preimage_solver"):
        registry.load(registry.find("solver", "wrong"))
    assert registry.hooks.is_registered(one.module)  # a sound plugin stands on it
