"""The methods that are installed: found by name, imported when used, called through pluggy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pluggy

from preimage import hookspecs
from preimage.errors import PluginError, RequestError
from preimage.hookspecs import KINDS
from preimage_registry.discovery import EXTENSION, Method, discover, normalised
from preimage_registry.documents import did_you_mean
from preimage_registry.loading import (
    NotAPluginError,
    Plugin,
    check,
    check_extension,
    implementation,
    import_entry_point,
    one_line,
    register,
)
from preimage_registry.policy import Policy, find_policy_file, read_policy


class Registry:
    """What is installed, under a lab's policy.

    Parameters
    ----------
    policy : who may run and who is preferred; without one every installed plugin may.

    Attributes
    ----------
    methods : all methods, by kind, name and distribution, those that may not be imported included.
    extensions : likewise.
    hooks : pluggy's manager; runs tell extensions through it what happens.
    """

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        found = discover(self.policy.blocks)
        self.methods = [method for method in found if method.kind != EXTENSION]
        self.extensions = [method for method in found if method.kind == EXTENSION]
        self.hooks = pluggy.PluginManager(hookspecs.PROJECT)
        self.hooks.add_hookspecs(hookspecs)
        self._plugins: dict[Method, Plugin] = {}

    @classmethod
    def here(cls, plugins: Path | None = None) -> Registry:
        """The registry under the plugins.toml that is given, or else found from the current folder."""
        return cls(read_policy(find_policy_file(plugins)))

    def find(self, kind: str, name: str) -> Method:
        """Return the method of a name, or of a `distribution:name`.

        Raises
        ------
        PluginError : it is not installed, may not be used, or more than one is meant.
        RequestError : there is no such kind.
        """
        if kind not in (*KINDS, EXTENSION):
            raise RequestError(f"there is no kind {kind!r}{did_you_mean(kind, KINDS)}: it is one of {', '.join(KINDS)}")
        candidates = [method for method in self.methods + self.extensions if method.kind == kind]
        distribution, _, short = name.rpartition(":")
        if distribution:
            candidates = [method for method in candidates if method.distribution == normalised(distribution)]
        named = [method for method in candidates if method.name == short]
        usable = [method for method in named if not method.blocked]
        if len(usable) > 1:
            usable = [method for method in usable if self._is_preferred(method)] or usable
        if len(usable) == 1:
            return usable[0]
        if usable:
            raise PluginError(self._clash(usable))
        if named:
            reasons = "; ".join(method.blocked for method in named)
            raise PluginError(f"{kind} {name!r} may not be used: {reasons}")
        names = sorted({m.full_name if distribution else m.name for m in candidates if not m.blocked})
        cure = did_you_mean(name, names) or f" (installed: {', '.join(names) or 'none'})"
        raise PluginError(f"there is no {kind} {name!r}{cure}")

    def why(self, method: Method) -> str:
        """What policy makes of a method: `used`, or why not."""
        if method.blocked:
            return method.blocked
        rivals = [m for m in self.methods if (m.kind, m.name, m.blocked) == (method.kind, method.name, "")]
        preferred = [m for m in rivals if self._is_preferred(m)]
        if len(rivals) == 1 or preferred == [method]:
            return "used"
        return f"{preferred[0].distribution} is preferred" if preferred else self._clash(rivals)

    def load(self, method: Method) -> Plugin:
        """Import a method and check it. A plugin that fails leaves nothing registered.

        Raises
        ------
        PluginError : it may not be used, or it is broken, whatever it raised.
        """
        if method not in self._plugins:
            module = self._registered(method)
            try:
                self._plugins[method] = check(self.hooks, method, module)
            except Exception as error:
                self._forget(module)
                raise _broken(method, error) from error
        return self._plugins[method]

    def extend(self) -> None:
        """Load the extensions that the policy names, in its order, so that the first wraps innermost.

        Raises
        ------
        PluginError : one is not installed, may not be used, or is broken.
        """
        for name in self.policy.extensions:
            method = self.find(EXTENSION, name)
            module = self._registered(method)
            try:
                check_extension(self.hooks, module)
            except NotAPluginError as error:
                self._forget(module)
                raise _broken(method, error) from error

    def call(self, plugin: Plugin, hook: str, context: Mapping[str, Any]) -> Any | None:
        """Call one hook of one plugin, wrapped by the extensions; None if the plugin does not implement it.

        Parameters
        ----------
        context : arguments by name, at least those that the plugin takes; those of other hooks are left out.
        """
        own = implementation(self.hooks, hook, plugin.module)
        if own is None:
            return None
        missing = [name for name in own.argnames if name not in context]
        if missing:
            raise TypeError(f"{hook} of {plugin.method} takes {', '.join(missing)}, not given here")
        others = [other.module for other in self._plugins.values() if other.module is not plugin.module]
        caller = self.hooks.subset_hook_caller(hook, remove_plugins=others)
        specified = caller.spec.argnames if caller.spec is not None else ()
        try:
            return caller(**{name: context.get(name) for name in specified})
        except Exception as error:
            error.add_note(f"raised by {hook} of {plugin.method}")
            raise

    def _registered(self, method: Method) -> Any:
        """The method's module, imported and registered."""
        if method.blocked:
            raise PluginError(f"{method} may not be used: {method.blocked}")
        module = None
        try:
            module = import_entry_point(method.entry_point)
            if not self.hooks.is_registered(module):  # one module may stand behind two names
                register(self.hooks, method, module)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module may raise anything, SystemExit too
            self._forget(module)
            raise _broken(method, error) from error
        return module

    def _forget(self, module: Any) -> None:
        """Unregister a module unless a sound plugin stands on it too."""
        sound = any(plugin.module is module for plugin in self._plugins.values())
        if module is not None and not sound and self.hooks.is_registered(module):
            self.hooks.unregister(module)

    def _is_preferred(self, method: Method) -> bool:
        return normalised(self.policy.prefer.get(method.key, "")) == method.distribution

    def _clash(self, rivals: list[Method]) -> str:
        owners = " and ".join(method.distribution for method in rivals)
        one = rivals[0]
        return (
            f"{one.kind} {one.name!r} is offered by {owners}: write {one.full_name!r}, "
            f'or "{one.key}" = "{one.distribution}" under [prefer] in plugins.toml'
        )


def _broken(method: Method, error: BaseException) -> PluginError:
    return PluginError(f"{method} is broken: {one_line(error)}")
