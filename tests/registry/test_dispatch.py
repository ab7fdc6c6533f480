"""Each section has its own maker, and extensions wrap them all."""

from __future__ import annotations

import warnings

import pytest

from preimage.errors import PluginError
from preimage_registry import BoundMethod

EXTENSION = """
from preimage import hookimpl

calls = []

@hookimpl(wrapper=True)
def preimage_prior(settings, domain):
    made = yield
    calls.append((type(made).__name__, domain))
    return (made, "wrapped by NAME")

@hookimpl
def preimage_run_started(record):
    calls.append(record)
"""


def bound(registry, kind, name, **settings):
    plugin = registry.load(registry.find(kind, name))
    return BoundMethod(plugin, plugin.settings(**settings), registry)


def test_two_priors_have_each_its_own_maker(base):
    registry = base.registry()
    sparsity, smooth = bound(registry, "prior", "sparsity", weight=1), bound(registry, "prior", "smooth")
    assert type(sparsity.make()).__name__ == "Sparsity"
    assert type(smooth.make()).__name__ == "Smooth"
    assert type(sparsity.make()).__name__ == "Sparsity"  # whichever was loaded last


def test_a_part_says_who_it_is_and_what_it_can_do(base):
    scale = bound(base.registry(), "operator", "scale", factor=3)
    assert (scale.kind, scale.name, scale.distribution, scale.version) == ("operator", "scale", "lab-base", "1.0")
    assert scale.declared.__name__ == "Scale"
    assert scale.requires == {"measurement": ("x",)}
    assert scale.provides == {}
    assert bound(base.registry(), "preparation", "crop").provides == {"cropped": ("x",)}


def test_a_hook_takes_what_it_names_and_the_rest_is_left_out(base):
    scale = bound(base.registry(), "operator", "scale", factor=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pluggy warns where a call lacks specified arguments
        assert scale.make(dataset="d", domain="not an operator's") == (3.0, "d")
    with pytest.raises(TypeError, match=r"preimage_operator of operator\.scale of lab-base 1\.0 takes dataset"):
        scale.make()


def test_a_hook_that_the_module_does_not_implement_gives_none(base):
    registry = base.registry()
    scale, smooth = bound(registry, "operator", "scale"), bound(registry, "prior", "smooth")
    assert set(scale.ask("preimage_axes")) == {"x"}
    assert smooth.ask("preimage_axes") is None  # though another module does
    assert scale.ask("preimage_memory", dataset=None) is None


def test_a_factory_that_returns_nothing_is_an_error(lab, prior_source):
    lab.install({"p": prior_source.replace("return Prior()", "return None")}, {"preimage.priors": {"p": "p"}})
    with pytest.raises(PluginError, match=r"prior\.p of lab-x 1\.2 made nothing: its preimage_prior returned None"):
        bound(lab.registry(), "prior", "p").make()


def test_an_error_in_a_factory_keeps_its_type_and_names_the_method(lab, prior_source):
    lab.install({"p": prior_source.replace("return Prior()", "1 / 0")}, {"preimage.priors": {"p": "p"}})
    with pytest.raises(ZeroDivisionError) as error:
        bound(lab.registry(), "prior", "p").make()
    assert error.value.__notes__ == ["raised by preimage_prior of prior.p of lab-x 1.2"]


def extended(base, *names, **policy):
    base.install(
        {name: EXTENSION.replace("NAME", name) for name in ("audit", "timing")},
        {"preimage.extensions": {"audit": "audit", "timing": "timing"}},
        name="lab-watch",
    )
    return base.registry(extensions=names, **policy)


def test_extensions_wrap_in_the_order_in_which_they_are_named(base):
    registry = extended(base, "timing", "lab-watch:audit")
    smooth = bound(registry, "prior", "smooth")
    assert type(smooth.make()).__name__ == "Smooth"  # not before they are loaded
    registry.extend()
    registry.extend()  # a second time changes nothing
    (made, inner), outer = smooth.make(domain="space")
    assert (type(made).__name__, inner, outer) == ("Smooth", "wrapped by timing", "wrapped by audit")


def test_extensions_observe(base):
    registry = extended(base, "audit")
    registry.extend()
    registry.hooks.hook.preimage_run_started(record={"seed": 1})
    import audit  # the module that the laboratory wrote

    assert audit.calls == [{"seed": 1}]


def test_extensions_are_no_methods(base):
    registry = extended(base)
    assert "extension" not in {method.kind for method in registry.methods}
    assert [method.name for method in registry.extensions if not method.blocked] == ["audit", "timing"]


def test_policy_is_for_extensions_too(base):
    registry = extended(base, "audit", trust={"allow": ["lab-*"], "deny": ["extension.audit"]})
    with pytest.raises(
        PluginError, match=r"extension 'audit' may not be used: plugins\.toml denies 'extension\.audit'"
    ):
        registry.extend()


def test_an_extension_that_is_not_there_is_an_error(base):
    with pytest.raises(PluginError, match=r"there is no extension 'audti' \(did you mean 'audit'\?\)"):
        extended(base, "audti").extend()


def test_an_extension_makes_nothing_in_the_place_of_methods(base, prior_source):
    base.install({"hijack": prior_source}, {"preimage.extensions": {"hijack": "hijack"}})
    registry = base.registry(extensions=["hijack"])
    with pytest.raises(PluginError, match=r"extension.hijack .* is broken: it answers preimage_prior for every method"):
        registry.extend()
    assert registry.hooks.get_plugins() == set()
