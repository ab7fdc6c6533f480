"""A method bound to its settings: what the core knows as a part before it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from preimage.errors import PluginError, RequestError
from preimage.hookspecs import KINDS
from preimage.settings import Settings
from preimage_registry.loading import Dims, Plugin
from preimage_registry.registry import Registry


@dataclass(frozen=True)
class BoundMethod:
    """One method with its settings; a `preimage.parts.Part`.

    Attributes
    ----------
    plugin : the method's module.
    settings : validated.
    registry : through which its hooks are called.
    on : for a prior, the unknown that it is for; None where there is one.
    place : where its section stands, such as `scan.toml:14: prior.1`, with which what it refuses is told; empty inside
        settings, of which the section round it tells.
    """

    plugin: Plugin
    settings: Settings
    registry: Registry
    on: str | None = None
    place: str = ""

    @property
    def kind(self) -> str:
        """One of the kinds of `preimage.hookspecs.KINDS`."""
        return self.plugin.method.kind

    @property
    def name(self) -> str:
        """The method's name."""
        return self.plugin.method.name

    @property
    def distribution(self) -> str:
        """The distribution that it is from."""
        return self.plugin.method.distribution

    @property
    def version(self) -> str:
        """The version of the distribution."""
        return self.plugin.method.version

    @property
    def origin(self) -> dict[str, str]:
        """Distribution, version and entry point."""
        entry_point = self.plugin.method.entry_point.value
        return {"distribution": self.distribution, "version": self.version, "entry_point": entry_point}

    @property
    def declared(self) -> Any:
        """The return annotation of the method's factory."""
        return self.plugin.declared

    @property
    def requires(self) -> Dims:
        """Variables that a dataset must have, with dims."""
        return self.plugin.requires

    @property
    def uses(self) -> tuple[str, ...]:
        """Variables that it uses where the dataset has them."""
        return tuple(getattr(self.plugin.module, "uses", ()))

    @property
    def provides(self) -> Dims:
        """Variables that a preparation adds, with dims."""
        return self.plugin.provides

    def make(self, **context: Any) -> Any:
        """Call the factory.

        Raises
        ------
        PluginError : it made nothing.
        """
        hook = KINDS[self.kind].factory
        made = self.ask(hook, **context)
        if made is None:
            raise PluginError(f"{self.plugin.method} made nothing: its {hook} returned None")
        return made

    def ask(self, hook: str, **context: Any) -> Any | None:
        """Call another hook of the method; None if it does not implement it."""
        try:
            return self.registry.call(self.plugin, hook, {**context, "settings": self.settings})
        except RequestError as error:
            if self.place:
                error.args = (f"{self.place}: {error}",)
            raise
