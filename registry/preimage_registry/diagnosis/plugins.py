"""The plugins: which plugins.toml says who may run, what is installed, and what of it is broken or clashes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from preimage.errors import PluginError, RequestError
from preimage_registry.diagnosis.findings import Finding
from preimage_registry.policy import FILE, VARIABLE, Policy, find_policy_file, read_policy
from preimage_registry.registry import Registry


def plugins(given: Path | None) -> Iterator[Finding]:
    """All about plugins; nothing is imported under a policy that cannot be read."""
    path = find_policy_file(given)
    try:
        registry = Registry(read_policy(path))
    except RequestError as error:
        yield Finding(FILE, str(error), "mend it: nothing runs before it can be read")
        return
    yield Finding(FILE, _policy(path, registry.policy, given))
    yield from _distributions(registry)
    yield from _broken(registry)
    yield from _clashes(registry)
    yield from _preferences(registry)
    yield from _extensions(registry)


def _policy(path: Path | None, policy: Policy, given: Path | None) -> str:
    if path is None:
        return "none was found: every installed plugin may run"
    how = " (by --plugins)" if given else f" (by ${VARIABLE})" if os.environ.get(VARIABLE) else ""
    denied = f", denies {', '.join(policy.trust.deny)}" if policy.trust.deny else ""
    return f"{path}{how}: allows {', '.join(policy.trust.allow) or 'nothing'}{denied}"


def _distributions(registry: Registry) -> Iterator[Finding]:
    """What each distribution brings; those of another preimage are not imported."""
    if not registry.methods:
        yield Finding("methods", "none is installed", "install a pack, such as preimage-variational")
    for name, group in groupby(sorted(registry.methods, key=lambda m: m.distribution), lambda m: m.distribution):
        methods = list(group)
        counts = Counter(method.kind for method in methods if not method.blocked)
        reasons = {method.blocked for method in methods if method.blocked}
        found = [f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in counts.items()] + sorted(reasons)
        unfit = [method for method in methods if method.blocked and not registry.policy.blocks(method)]
        cure = f"pip install --upgrade {name}, or uninstall it" if unfit else ""
        yield Finding(f"{name} {methods[0].version}", ", ".join(found), cure)


def _broken(registry: Registry) -> Iterator[Finding]:
    for method in registry.methods:
        if not method.blocked:
            try:
                registry.load(method)
            except PluginError as error:
                denied = f'deny = ["{method.key}"] in {FILE}'
                cure = f"mend {method.distribution}, uninstall it, or leave it out by {denied}"
                yield Finding(method.key, str(error), cure)


def _clashes(registry: Registry) -> Iterator[Finding]:
    for message in dict.fromkeys(map(registry.why, registry.methods)):
        found, write, cure = message.partition(": write ")
        if write:
            yield Finding("clash", found, f"write {cure}")


def _preferences(registry: Registry) -> Iterator[Finding]:
    for key, distribution in registry.policy.prefer.items():
        kind, _, name = key.partition(".")
        try:
            registry.find(kind, f"{distribution}:{name}")
        except PluginError as error:
            yield Finding("[prefer]", f"{key} = {distribution}: {error}", f"mend or remove that line of {FILE}")


def _extensions(registry: Registry) -> Iterator[Finding]:
    names = registry.policy.extensions
    if not names:
        return
    try:
        registry.extend()
    except PluginError as error:
        cure = f"no run begins before: mend it, or take it out of extensions in {FILE}"
        yield Finding("extensions", str(error), cure)
    else:
        yield Finding("extensions", ", ".join(names))
