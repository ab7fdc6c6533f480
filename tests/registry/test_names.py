"""A method is found by its name, and what was meant is said where it is not."""

from __future__ import annotations

import pytest

from preimage.errors import PluginError, RequestError


@pytest.fixture
def twice(lab, prior_source):
    """Two distributions with one name."""
    lab.install({"a": prior_source}, {"preimage.priors": {"tv": "a"}}, name="lab-a")
    lab.install({"b": prior_source}, {"preimage.priors": {"tv": "b"}}, name="lab-b")
    return lab


def test_a_clash_names_both_cures(twice):
    registry = twice.registry()
    with pytest.raises(PluginError) as error:
        registry.find("prior", "tv")
    assert str(error.value) == (
        "prior 'tv' is offered by lab-a and lab-b: write 'lab-a:tv', "
        'or "prior.tv" = "lab-a" under [prefer] in plugins.toml'
    )
    assert {registry.why(method) for method in registry.methods if method.name == "tv"} == {str(error.value)}


def test_the_first_cure_works(twice):
    assert twice.registry().find("prior", "lab-b:tv").distribution == "lab-b"
    assert twice.registry().find("prior", "Lab_B:tv").distribution == "lab-b"


def test_the_second_cure_works(twice):
    registry = twice.registry(prefer={"prior.tv": "Lab_B"})
    assert registry.find("prior", "tv").distribution == "lab-b"
    whys = {m.distribution: registry.why(m) for m in registry.methods if m.name == "tv"}
    assert whys == {"lab-a": "lab-b is preferred", "lab-b": "used"}


def test_a_preference_for_one_that_is_not_there_leaves_the_clash(twice):
    with pytest.raises(PluginError, match="is offered by lab-a and lab-b"):
        twice.registry(prefer={"prior.tv": "lab-c"}).find("prior", "tv")


def test_denying_one_ends_the_clash(twice):
    registry = twice.registry(trust={"allow": ["lab-*"], "deny": ["lab-a"]})
    assert registry.find("prior", "tv").distribution == "lab-b"


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("prior", "sparsty", "there is no prior 'sparsty' (did you mean 'sparsity'?)"),
        ("prior", "xyz", "there is no prior 'xyz' (installed: smooth, sparsity)"),
        ("prior", "lab-base:sparsty", "no prior 'lab-base:sparsty' (did you mean 'lab-base:sparsity'?)"),
        ("prior", "lab-none:sparsity", "there is no prior 'lab-none:sparsity' (installed: none)"),
        ("priors", "sparsity", "there is no kind 'priors' (did you mean 'prior'?)"),
        ("extension", "audit", "there is no extension 'audit' (installed: none)"),
    ],
)
def test_what_was_meant_is_said(base, kind, name, message):
    with pytest.raises(RequestError) as error:
        base.registry().find(kind, name)
    assert message in str(error.value)
