"""A method's module, called as a run calls it: every hook with only the arguments that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

import pluggy

from preimage import hookspecs
from preimage.hookspecs import KINDS, PROJECT
from preimage.offers import declared_type


@dataclass(frozen=True)
class BoundModule:
    """A module with settings, as a `preimage.parts.Part`: for settings that hold a part, in examples and tests."""

    method: Method
    settings: Any
    origin: Mapping[str, str] = field(default_factory=dict)
    uses: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The method's."""
        return self.method.kind

    @property
    def name(self) -> str:
        """The module's, as entry points are named."""
        return self.method.module.__name__.rpartition(".")[2].replace("_", "-")

    @property
    def declared(self) -> Any:
        """The return annotation of the factory."""
        return self.method.declared

    @property
    def requires(self) -> Mapping[str, tuple[str, ...]]:
        """The method's."""
        return self.method.requires

    @property
    def provides(self) -> Mapping[str, tuple[str, ...]]:
        """The method's."""
        return self.method.provides

    def make(self, **context: Any) -> Any:
        """Call the factory."""
        return self.method.make(settings=self.settings, **context)

    def ask(self, hook: str, **context: Any) -> Any:
        """Call another hook; None if the module does not implement it."""
        return self.method.ask(hook, settings=self.settings, **context)


def bound(kind: str, module: ModuleType, **settings: Any) -> BoundModule:
    """A module's method with these settings, as a part of another's settings.

    Parameters
    ----------
    kind : one of the kinds of `preimage.hookspecs.KINDS`.
    settings : those of the module's `Settings`.
    """
    return BoundModule(Method(kind, module), module.Settings(**settings))


class Method:
    """One module and the kind of method that it implements.

    Attributes
    ----------
    kind : one of the kinds of `preimage.hookspecs.KINDS`.
    module : with its `Settings` and hooks.
    """

    def __init__(self, kind: str, module: ModuleType) -> None:
        self.kind = kind
        self.module = module

    @cached_property
    def manager(self) -> pluggy.PluginManager:
        """A plugin manager that knows this module alone; raises what pluggy has against it."""
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(hookspecs)
        manager.register(self.module, self.module.__name__)
        return manager

    def implements(self, hook: str) -> bool:
        """Whether the module implements a hook."""
        return bool(getattr(self.manager.hook, hook).get_hookimpls())

    def ask(self, hook: str, **context: Any) -> Any:
        """Call a hook; None if the module does not implement it."""
        caller = getattr(self.manager.hook, hook)
        return caller(**{name: context.get(name) for name in caller.spec.argnames})

    def make(self, **context: Any) -> Any:
        """Call the factory."""
        return self.ask(self.factory, **context)

    @property
    def factory(self) -> str:
        """Name of the hook that makes a part of this kind."""
        return KINDS[self.kind].factory

    @property
    def declared(self) -> Any:
        """The return annotation of the factory."""
        return declared_type(getattr(self.module, self.factory))

    @property
    def requires(self) -> Mapping[str, tuple[str, ...]]:
        """Variables that a dataset must have, with dims that each must have."""
        return getattr(self.module, "requires", {})

    @property
    def provides(self) -> Mapping[str, tuple[str, ...]]:
        """Variables that a preparation adds, with their dims."""
        return getattr(self.module, "provides", {})
