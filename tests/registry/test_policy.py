"""plugins.toml: where it is found, who it lets run, and what is wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from preimage.errors import PluginError, RequestError
from preimage_registry import Policy, Registry
from preimage_registry.policy import find_policy_file, read_policy


def usable(registry: Registry) -> set[str]:
    return {method.key for method in registry.methods if not method.blocked and method.distribution == "lab-base"}


@pytest.mark.parametrize(
    "pattern", ["lab-base", "Lab_Base", "lab-*", "prior.sparsity", "prior.*", "lab-base:sparsity", "lab.*:spars*"]
)
def test_a_pattern_is_over_distributions_or_methods_or_both(base, pattern):
    assert "prior.sparsity" in usable(base.registry(trust={"allow": [pattern]}))
    assert "prior.sparsity" not in usable(base.registry(trust={"allow": ["lab-*"], "deny": [pattern]}))
    assert "prior.sparsity" in usable(base.registry(trust={"deny": ["lab-base:smooth", "solver.*", "lab"]}))


def test_deny_beats_allow(base):
    registry = base.registry(trust={"allow": ["lab-base", "prior.sparsity"], "deny": ["prior.sparsity"]})
    assert "prior.smooth" in usable(registry)
    with pytest.raises(PluginError, match=r"prior 'sparsity' may not be used: plugins\.toml denies 'prior\.sparsity'"):
        registry.find("prior", "sparsity")


def test_what_is_not_allowed_is_not_imported(lab):
    lab.install({"p": "raise RuntimeError"}, {"preimage.priors": {"p": "p"}})
    registry = Registry(Policy.model_validate({"trust": {"allow": ["other-*"]}}))
    with pytest.raises(PluginError, match="does not allow 'lab-x'"):
        registry.find("prior", "p")
    (method,) = [method for method in registry.methods if method.distribution == "lab-x"]
    with pytest.raises(PluginError, match="does not allow 'lab-x'"):  # nor by a method that was found otherwise
        registry.load(method)


def test_the_nearest_file_counts_unless_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PREIMAGE_PLUGINS", raising=False)
    inner = tmp_path / "lab" / "project" / "runs"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)

    def write(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        return path

    assert find_policy_file() is None
    own = write(tmp_path / "config" / "preimage" / "plugins.toml")
    assert find_policy_file() == own
    write(tmp_path / "plugins.toml")
    nearest = write(tmp_path / "lab" / "plugins.toml")
    assert find_policy_file() == nearest
    monkeypatch.setenv("PREIMAGE_PLUGINS", "/named/by/variable.toml")
    assert find_policy_file() == Path("/named/by/variable.toml")
    assert find_policy_file(Path("given.toml")) == Path("given.toml")


def test_a_named_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(RequestError, match=r"none\.toml: there is no such file"):
        read_policy(tmp_path / "none.toml")


def test_every_mistake_has_file_line_and_key(tmp_path):
    path = tmp_path / "plugins.toml"
    path.write_text('extensions = "audit"\n\n[trust]\nalow = ["a"]\ndeny = [\n  1,\n]\n\n[prefer]\nx = 2\n\n[truts]\n')
    with pytest.raises(RequestError) as error:
        read_policy(path)
    lines = [line.removeprefix(f"{path}:") for line in str(error.value).splitlines()]
    assert lines == [
        "1: extensions: should be a valid tuple, not 'audit'",
        "4: trust.alow: plugins.toml has no such setting (did you mean 'allow'?)",
        "6: trust.deny.1: should be a valid string, not 1",
        "10: prefer.x: should be a valid string, not 2",
        "12: truts: plugins.toml has no such setting (did you mean 'trust'?)",
    ]


@pytest.mark.parametrize(
    ("key", "message"),
    [("blur", 'write "kind.name" = '), ("opertor.blur", r"no kind 'opertor' \(did you mean 'operator'\?\)")],
)
def test_a_preference_is_for_a_method(tmp_path, key, message):
    path = tmp_path / "plugins.toml"
    path.write_text(f'[prefer]\n"{key}" = "lab-x"\n')
    with pytest.raises(RequestError, match=rf"plugins.toml:2: prefer.*{key}.*: .*{message}"):
        read_policy(path)


def test_a_sound_file_is_read(tmp_path, base):
    path = tmp_path / "plugins.toml"
    path.write_text(
        'extensions = ["audit"]\n[trust]\nallow = ["lab-*"]\ndeny = ["solver.*"]\n[prefer]\n"prior.p" = "lab-x"\n'
    )
    policy = read_policy(path)
    assert (policy.trust.allow, policy.trust.deny) == (("lab-*",), ("solver.*",))
    assert (policy.prefer, policy.extensions, policy.path) == ({"prior.p": "lab-x"}, ("audit",), path)
    with pytest.raises(PluginError, match=f"{path} denies 'solver"):
        Registry(policy).find("solver", "fista")
