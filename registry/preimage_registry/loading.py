"""Importing one plugin and checking that it is one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

import pluggy

from preimage.hookspecs import KINDS
from preimage.offers import declared_type
from preimage.settings import Settings
from preimage_registry.discovery import Method
from preimage_registry.documents import did_you_mean

Dims = Mapping[str, tuple[str, ...]]

RESERVED = {kind: ("use", "on") if kind == "prior" else ("use",) for kind in KINDS}
"""Keys of a section that are the platform's, so that no setting may have their name."""


class NotAPluginError(Exception):
    """A module is not what its entry point says; the message says what it lacks."""


@dataclass(frozen=True)
class Plugin:
    """A method whose module is imported and checked.

    Attributes
    ----------
    method : what it was found as.
    module : the module.
    settings : its class of settings.
    factory : its implementation of the kind's factory hook.
    declared : the factory's return annotation.
    requires, provides : dataset variables and their dims.
    """

    method: Method
    module: Any
    settings: type[Settings]
    factory: pluggy.HookImpl
    declared: Any
    requires: Dims
    provides: Dims


def import_entry_point(entry_point: EntryPoint) -> Any:
    """Import exactly this entry point by stevedore, whose own cache would forget the distribution and may be stale."""
    from stevedore import DriverManager  # 10 ms that listing has no use for

    class OneEntryPoint(DriverManager):  # type: ignore[type-arg]  # not generic in older releases
        def list_entry_points(self) -> list[EntryPoint]:
            return [entry_point]

    return OneEntryPoint(entry_point.group, entry_point.name, on_missing_entrypoints_callback=None).driver


def register(manager: pluggy.PluginManager, method: Method, module: Any) -> None:
    """Register a module's hooks.

    Raises
    ------
    NotAPluginError : a hook or an argument of one does not exist; pluggy's own messages know no hint.
    """
    try:
        manager.register(module, name=f"{method.distribution}:{method.key}")
    except pluggy.PluginValidationError as error:
        raise NotAPluginError(_strange_argument(manager, module) or str(error)) from None
    known = [name for name, caller in vars(manager.hook).items() if caller.has_spec()]
    for caller in manager.get_hookcallers(module) or ():
        wanted = any(one.plugin is module and not one.optionalhook for one in caller.get_hookimpls())
        if wanted and not caller.has_spec():
            raise NotAPluginError(f"there is no hook {caller.name}{did_you_mean(caller.name, known)}")


def _strange_argument(manager: pluggy.PluginManager, module: Any) -> str:
    """Which hook asks for an argument that it does not get, and which it may ask for; empty if none does."""
    for name, caller in vars(manager.hook).items():
        if caller.spec is not None and manager.parse_hookimpl_opts(module, name) is not None:
            known = caller.spec.argnames
            for argument in inspect.signature(getattr(module, name)).parameters:
                if argument not in known:
                    hint = did_you_mean(argument, known)
                    return f"{name} has an argument {argument!r}{hint}: it may take {', '.join(known)}"
    return ""


def _unmarked(manager: pluggy.PluginManager, module: Any) -> str:
    """Which function has a hook's name and would never be called; empty if none does."""
    for name, caller in vars(manager.hook).items():
        forgotten = hasattr(module, name) and manager.parse_hookimpl_opts(module, name) is None
        if caller.has_spec() and forgotten:
            return f"its {name} would not be called: mark it with @hookimpl"
    return ""


def check(manager: pluggy.PluginManager, method: Method, module: Any) -> Plugin:
    """Check what a registered module says of itself.

    Raises
    ------
    NotAPluginError : it is no plugin of its kind.
    """
    hook = KINDS[method.kind].factory
    factory = implementation(manager, hook, module)
    if factory is None:
        raise NotAPluginError(_unmarked(manager, module) or f"it does not implement {hook}")
    if unmarked := _unmarked(manager, module):
        raise NotAPluginError(unmarked)
    if watched := [caller.name for caller in manager.get_hookcallers(module) or () if _observes(caller)]:
        raise NotAPluginError(f"it implements {watched[0]}, which is for extensions")
    settings = getattr(module, "Settings", None)
    if not isinstance(settings, type) or not issubclass(settings, Settings):
        raise NotAPluginError("it has no class Settings that derives from preimage.Settings")
    for name, field in settings.model_fields.items():
        if taken := {name, field.alias}.intersection(RESERVED[method.kind]):
            raise NotAPluginError(f"no setting may be called {taken.pop()!r}: that key of a section is the platform's")
    try:
        declared = declared_type(factory.function)
    except NameError as error:
        raise NotAPluginError(f"{hook} is annotated to return {error.name!r}: import it at run time too") from None
    return Plugin(method, module, settings, factory, declared, _dims(module, "requires"), _dims(module, "provides"))


def implementation(manager: pluggy.PluginManager, hook: str, module: Any) -> pluggy.HookImpl | None:
    """The module's own implementation of a hook, if there is one."""
    return next((one for one in getattr(manager.hook, hook).get_hookimpls() if _answers(one, module)), None)


def check_extension(manager: pluggy.PluginManager, module: Any) -> None:
    """Check that an extension leaves making to the methods.

    Raises
    ------
    NotAPluginError : it answers in their place instead of wrapping or observing.
    """
    for caller in manager.get_hookcallers(module) or ():
        if not _observes(caller) and any(_answers(one, module) for one in caller.get_hookimpls()):
            raise NotAPluginError(f"it answers {caller.name} for every method: wrap it by @hookimpl(wrapper=True)")


def _answers(one: pluggy.HookImpl, module: Any) -> bool:
    return one.plugin is module and not (one.wrapper or one.hookwrapper)


def _observes(caller: pluggy.HookCaller) -> bool:
    """Whether a hook is told to all; the others are answered by one."""
    return caller.spec is not None and not caller.spec.opts["firstresult"]


def _dims(module: Any, name: str) -> Dims:
    value = getattr(module, name, {})
    if not isinstance(value, Mapping) or not all(isinstance(dims, tuple) for dims in value.values()):
        raise NotAPluginError(f"{name} is no mapping of variables to tuples of dims: {value!r}")
    return value


def one_line(error: BaseException) -> str:
    """An exception as one line."""
    named = str(error) if isinstance(error, NotAPluginError) else f"{type(error).__name__}: {error}"
    return " ".join(named.split()).removesuffix(":")
