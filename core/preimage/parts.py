"""A part of a chain before it is made: one method, bound to its settings.

The registry makes parts from a run file; the core, which knows no registry, only uses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from preimage.settings import Settings


@runtime_checkable
class Part(Protocol):
    """One method with its settings."""

    @property
    def kind(self) -> str:
        """One of the kinds of `preimage.hookspecs.KINDS`."""
        ...

    @property
    def name(self) -> str:
        """The method's name, such as `fista`."""
        ...

    @property
    def origin(self) -> Mapping[str, str]:
        """Where the method is from, for the record: distribution, version and entry point."""
        ...

    @property
    def settings(self) -> Settings:
        """The validated settings."""
        ...

    @property
    def declared(self) -> Any:
        """The return annotation of the method's factory: what the part can do."""
        ...

    @property
    def requires(self) -> Mapping[str, tuple[str, ...]]:
        """Variables that a dataset must have, with the dims that each must have at least."""
        ...

    @property
    def uses(self) -> tuple[str, ...]:
        """Variables that it uses where the dataset has them, such as a mask."""
        ...

    @property
    def provides(self) -> Mapping[str, tuple[str, ...]]:
        """Variables that a preparation adds, with their dims."""
        ...

    def make(self, **context: Any) -> Any:
        """Call the method's factory."""
        ...

    def ask(self, hook: str, **context: Any) -> Any | None:
        """Call another hook of the method; None if it does not implement it."""
        ...
